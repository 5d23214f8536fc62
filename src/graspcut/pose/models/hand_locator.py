"""Where the hand is in a mask of hand and forearm: the small network that places the cube before f_s and f_r see it.

The paper takes the cube as given. `graspcut segment` calls wrist and forearm hand too, and an arm may be seen up to the
elbow, so the middle of its mask can be far from the hand. The layers are those of `JointRegressor` with fewer units.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graspcut.pose.models.joint_network import JointRegressor, halved


@dataclass(frozen=True)
class HandLocatorConfig:
    """What a locator is built from.

    Attributes:
        hidden: Units of the fully connected layer.
        joint_parts: One joint, the middle finger's knuckle, without parts: says how many joints come out.
    """

    hidden: int = 96
    joint_parts: tuple[tuple[int, ...], ...] = ((),)


class HandLocator(nn.Module):
    """The hand's centre in a cube of 640 mm around the middle of the mask.

    Args:
        config: What it is built from.
    """

    def __init__(self, config: HandLocatorConfig | None = None) -> None:
        super().__init__()
        self.config = config or HandLocatorConfig()
        self.regressor = JointRegressor(self.config.hidden)

    def forward(self, image: Tensor, crop: Tensor, parts: Tensor) -> tuple[Tensor, None, None, None]:
        """The centre (n, 1, 3) as u, v, d of the cube from (n, 1, 48, 48); `crop` and `parts` are not looked at."""
        return self.regressor(halved(image))[:, None], None, None, None
