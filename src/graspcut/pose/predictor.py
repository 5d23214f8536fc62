"""From a depth frame and masks of hands to their parts and joints: what users call.

    estimator = graspcut.PoseEstimator.load()
    poses = estimator(frame, [mask])             # mask: (H, W) bool, hand and forearm, without the held object
    poses.hands[0].joints_mm                     # (21, 3) millimetres in the camera frame, NaN where absent

`graspcut.scene` finds the masks with `graspcut segment`. Nothing here imports torch unless the PyTorch back end is
chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame, check_depth
from graspcut.labels import JOINT_NAMES
from graspcut.pose.preprocessing import (
    CROP_PX,
    CUBE_MM,
    LOCATOR_CUBE_MM,
    NEAR_LOCATOR_CUBE_MM,
    CropGeometry,
    crop_cube,
    middle_of,
    paste_labels,
)
from graspcut.pose.result import HandJoints, HandPoses
from graspcut.runtime.contract import ArraySpec, TaskContract
from graspcut.runtime.model_folder import find_model_folder
from graspcut.runtime.opening import OpenOptions
from graspcut.runtime.predictor import Inputs, Predictor

if TYPE_CHECKING:
    from torch import nn

DEFAULT_PARTS, DEFAULT_JOINTS, DEFAULT_LOCATOR = "hand-parts", "hand-joints", "hand-locator"
_JOINTS = len(JOINT_NAMES)
_CROP = ArraySpec("crop", "float32", ("batch", CROP_PX, CROP_PX))
_PARTS = ArraySpec("parts", "uint8", ("batch", CROP_PX, CROP_PX))
# A cube that is farther from where the joints say the hand is, or turned more, is placed again.
_RECENTRE_MM = 8.0
_TURN_AGAIN_DEG = 8.0
_MOST_PLACINGS = 2


class _PosePredictor(Predictor):
    """What the three networks have in common: they see crops of 48x48, whatever the frame's size."""

    @classmethod
    def build_network(cls, config: Mapping[str, Any]) -> nn.Module:
        """One of `graspcut.pose.models`."""
        from graspcut.pose.models import build_model

        return build_model(config)

    @classmethod
    def example(cls, width: int, height: int, batch: int = 1, seed: int = 0) -> Inputs:
        """Crops of a slope with a ball before it, and parts in stripes; the size of the frame plays no role."""
        rng = np.random.default_rng(seed)
        v, u = np.mgrid[-1 : 1 : CROP_PX * 1j, -1 : 1 : CROP_PX * 1j]
        crops, parts = [], []
        for _ in range(batch):
            x, y, radius = rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(0.4, 0.7)
            bulge = np.square(radius) - np.square(u - x) - np.square(v - y)
            crop = np.where(bulge > 0, 0.3 * (u + v) - np.sqrt(np.maximum(bulge, 0)), 1.0)
            crops.append(np.clip(crop, -0.99, 1.0))
            parts.append(np.where(bulge > 0, 1 + (9.9 * (u + 1)).astype(int) % 20, 0))
        inputs: Inputs = {"crop": np.stack(crops).astype(np.float32), "parts": np.stack(parts).astype(np.uint8)}
        return {spec.name: inputs[spec.name] for spec in cls.contract.inputs}


class PartPredictor(_PosePredictor):
    """Crops to parts, f_s at 24x24."""

    contract = TaskContract(
        task="pose-parts",
        labels=None,
        arrays=(_CROP,),
        settings=(),
        outputs=(_PARTS, ArraySpec("certainty", "float32", ("batch", CROP_PX, CROP_PX))),
    )
    default_model = DEFAULT_PARTS

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """See `graspcut.pose.graph.PartGraph`."""
        from graspcut.pose.graph import PartGraph

        return PartGraph(network)


class JointPredictor(_PosePredictor):
    """Crops and parts to joints, f_r."""

    contract = TaskContract(
        task="pose-joints",
        labels=None,
        arrays=(_CROP, _PARTS),
        settings=(),
        outputs=(
            ArraySpec("joints", "float32", ("batch", _JOINTS, 3)),
            ArraySpec("confidence", "float32", ("batch", _JOINTS)),
            ArraySpec("visible", "float32", ("batch", _JOINTS)),
            ArraySpec("right", "float32", ("batch",)),
        ),
    )
    default_model = DEFAULT_JOINTS

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """See `graspcut.pose.graph.JointGraph`."""
        from graspcut.pose.graph import JointGraph

        return JointGraph(network)


class LocatorPredictor(_PosePredictor):
    """Wide crops to the hand's centre and wrist."""

    contract = TaskContract(
        task="pose-locator",
        labels=None,
        arrays=(_CROP,),
        settings=(),
        outputs=(ArraySpec("centre", "float32", ("batch", 3)), ArraySpec("wrist", "float32", ("batch", 3))),
    )
    default_model = DEFAULT_LOCATOR

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """See `graspcut.pose.graph.LocatorGraph`."""
        from graspcut.pose.graph import LocatorGraph

        return LocatorGraph(network)


@dataclass(frozen=True)
class PoseModels:
    """Which models an estimator runs, by shipped name, model folder or exported file.

    Attributes:
        parts: The part network.
        joints: The joint network.
        locator: The network that finds the hand in a mask with a forearm; "" takes the middle of the mask.
    """

    parts: str | Path = DEFAULT_PARTS
    joints: str | Path = DEFAULT_JOINTS
    locator: str | Path = DEFAULT_LOCATOR


class PoseEstimator:
    """Parts and joints of hands; see the module. Use `load`.

    Args:
        parts: The part network.
        joints: The joint network.
        locator: Finds the hand in a mask; None takes the middle of the mask.
        least_confidence: Joints below it are absent.
    """

    def __init__(
        self,
        parts: PartPredictor,
        joints: JointPredictor,
        locator: LocatorPredictor | None = None,
        *,
        least_confidence: float = 0.1,
    ) -> None:
        self.parts, self.joints, self.locator = parts, joints, locator
        self.least_confidence = least_confidence

    @classmethod
    def load(
        cls,
        models: PoseModels | None = None,
        device: str = "auto",
        threads: int | None = None,
        *,
        backend: str = "auto",
        parallel_calls: int = 1,
    ) -> Self:
        """Loads the shipped models, or others. Nothing is downloaded.

        Args:
            models: Which.
            device, threads, backend, parallel_calls: See `graspcut.Segmenter.load`.

        Raises:
            ModelFolderError: If there is no such model or it is damaged.
            BackendError: If the back end or the device is not there.
        """
        models = models or PoseModels()
        options = OpenOptions(models.parts, device, backend, "auto", threads, parallel_calls)
        return cls(
            PartPredictor.open(options),
            JointPredictor.open(replace(options, model=models.joints)),
            LocatorPredictor.open(replace(options, model=models.locator)) if str(models.locator) else None,
        )

    @property
    def parallel_calls(self) -> int:
        """How many threads may call at the same time and gain from it."""
        return min(self.parts.parallel_calls, self.joints.parallel_calls)

    @property
    def digest(self) -> str:
        """Of all weights; empty if one is not known."""
        used = [self.parts, self.joints, *([self.locator] if self.locator else [])]
        return "+".join(model.digest for model in used) if all(model.digest for model in used) else ""

    @property
    def description(self) -> str:
        """What runs, in a few words."""
        return self.joints.description

    def __call__(
        self,
        depth_mm: NDArray[Any] | Frame,
        masks: Sequence[NDArray[np.bool_]],
        camera: Camera | None = None,
    ) -> HandPoses:
        """Estimates the hands of one frame.

        Args:
            depth_mm: A Frame, or (H, W) uint16 or float millimetres, 0 = no data.
            masks: One (H, W) bool a hand: its pixels, forearm too, without what it holds.
            camera: Its camera; None takes the Frame's own, and if there is none a focal length of 0.745 times the
                width.

        Returns:
            One hand a mask that has any pixel with depth, and the parts of all.

        Raises:
            FrameError: If the array is no depth image in millimetres, or the camera or a mask has another size.
        """
        if isinstance(depth_mm, Frame):
            depth, camera = depth_mm.depth_mm, depth_mm.camera if camera is None else camera
        else:
            depth = check_depth(np.asarray(depth_mm), 1.0)
        if camera is None:
            focal = focal_length_px(None, depth.shape[1])
            camera = Camera.from_focal_length(depth.shape[1], depth.shape[0], focal)
        parts = np.zeros(depth.shape, np.uint8)
        hands = []
        for mask in masks:
            if mask.shape != depth.shape or (camera.height, camera.width) != depth.shape:
                raise FrameError(
                    f"a mask of {mask.shape} and a camera of {camera.width}x{camera.height} came for a frame of "
                    f"{depth.shape} (height, width); expected the same size."
                )
            inside = np.asarray(mask, bool) & (depth > 0)
            if inside.any():
                hand, own = self._hand(depth, inside, camera)
                hands.append(hand)
                parts = np.where(own > 0, own, parts)
        return HandPoses(tuple(hands), parts, depth, camera)

    def _hand(
        self, depth: NDArray[np.float32], mask: NDArray[np.bool_], camera: Camera
    ) -> tuple[HandJoints, NDArray[np.uint8]]:
        own = np.where(mask, depth, np.float32(0))
        geometry = self._cube(own, mask, camera)
        # Joints are found first without parts: that is cheap, and says where the cube should be.
        for _ in range(_MOST_PLACINGS):
            again = self._placed_again(geometry, own)
            if again is None:
                break
            geometry = again
        crop = crop_cube(own, geometry)[None]
        parts = self.parts.run({"crop": crop})["parts"]
        found = self._both_ways(crop, parts)
        joints = geometry.to_camera(found["joints"][0]).astype(np.float32)
        confidence = np.asarray(found["confidence"][0], np.float32)
        pixels = camera.project(joints)
        with np.errstate(invalid="ignore"):
            inside = ((pixels >= -0.5) & (pixels < np.array([camera.width, camera.height]) - 0.5)).all(axis=1)
        absent = ~inside | (confidence < self.least_confidence)
        joints[absent] = np.nan
        confidence = np.where(absent, np.float32(0), confidence)
        visible = np.asarray((found["visible"][0] >= 0.5) & ~absent)
        hand = HandJoints(joints, confidence, visible, float(found["right"][0]))
        return hand, paste_labels(parts[0], geometry, mask, depth.shape)

    def _both_ways(self, crop: NDArray[np.float32], parts: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Joints as the mean of what is found in the crop and in its mirror image, a hand of the other side."""
        found = self.joints.run(
            {"crop": np.concatenate([crop, crop[..., ::-1]]), "parts": np.concatenate([parts, parts[..., ::-1]])}
        )
        found = {name: np.array(values) for name, values in found.items()}
        found["joints"][1, :, 0] *= -1
        found["right"][1] = 1 - found["right"][1]
        return {name: values.mean(axis=0, keepdims=True) for name, values in found.items()}

    def _placed_again(self, geometry: CropGeometry, depth: NDArray[np.float32]) -> CropGeometry | None:
        """The cube where the joints say it should be; None if it is there, or would leave the hand."""
        crop = crop_cube(depth, geometry)[None]
        found = self._both_ways(crop, np.zeros(crop.shape, np.uint8))
        ends = (JOINT_NAMES.index(name) for name in ("middle_mcp", "wrist"))
        centre, wrist = (geometry.to_camera(found["joints"][0, end]) for end in ends)
        turn = _upright_deg(centre - wrist, geometry.roll_deg) if self.locator is not None else geometry.roll_deg
        off = np.linalg.norm(centre - np.array(geometry.centre_mm)) > _RECENTRE_MM
        off |= abs((turn - geometry.roll_deg + 180) % 360 - 180) > _TURN_AGAIN_DEG
        if off and _holds_hand(depth, geometry.camera, centre, np.array(geometry.centre_mm)):
            return replace(geometry, centre_mm=_triple(centre), roll_deg=turn)
        return None

    def _cube(self, depth: NDArray[np.float32], mask: NDArray[np.bool_], camera: Camera) -> CropGeometry:
        """The cube around the hand, turned until the hand points up in it."""
        middle, roll_deg = middle_of(depth, mask, camera), 0.0
        if self.locator is not None:
            # A wide look, and a nearer one at what was found.
            for cube_mm in (LOCATOR_CUBE_MM, NEAR_LOCATOR_CUBE_MM):
                cube = CropGeometry(camera, _triple(middle), cube_mm, roll_deg=roll_deg)
                found = self.locator.run({"crop": crop_cube(depth, cube)[None]})
                centre, wrist = (cube.to_camera(found[name][0]) for name in ("centre", "wrist"))
                if _holds_hand(depth, camera, centre, middle):
                    middle = centre
                    roll_deg = _upright_deg(centre - wrist, roll_deg)
        return CropGeometry(camera, _triple(middle), CUBE_MM, roll_deg=roll_deg)

    def warm_up(self) -> None:
        """Runs every network once, so that the first frame does not wait for an engine to compile."""
        for model, crops in ((self.parts, 1), (self.joints, 2), (self.locator, 1)):
            if model is not None:
                model.run(model.example(CROP_PX, CROP_PX, crops))


def _holds_hand(
    depth: NDArray[np.float32], camera: Camera, centre: NDArray[np.floating], instead_of: NDArray[np.floating]
) -> bool:
    """Whether a cube at `centre` holds a fair part of what one at `instead_of` holds: it has not left the hand."""
    if not np.isfinite(centre).all() or centre[2] <= 0:
        return False
    counts = [
        int((crop_cube(depth, CropGeometry(camera, _triple(place), CUBE_MM)) < 1.0).sum())
        for place in (centre, instead_of)
    ]
    return counts[0] >= max(40, 0.3 * counts[1])


def models_are_shipped() -> bool:
    """Whether the package brings the three default models."""
    try:
        for name in (DEFAULT_PARTS, DEFAULT_JOINTS, DEFAULT_LOCATOR):
            find_model_folder(name)
    except ValueError:
        return False
    return True


def _upright_deg(along_mm: NDArray[np.floating], instead_deg: float) -> float:
    """The roll of a cube in which a hand that points along (x, y, z) points up; hands that point at the camera have
    none."""
    across, down = float(along_mm[0]), float(along_mm[1])
    if not np.hypot(across, down) > 0.2 * np.linalg.norm(along_mm):
        return instead_deg
    return float(np.degrees(np.arctan2(across, -down)))


def _triple(point: NDArray[np.floating]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
