"""From an image and a trimap to a `Matte`: what users call.

    matter = Matter.load()                         # the default: a shipped network on closed-form matting
    matter = Matter.load("closed-form")            # or "knn", a model folder, a file of graspcut export
    matte = matter(image, trimap)
    matte.save("out", "name")

Nothing here imports torch unless the PyTorch back end is chosen; classical methods, and networks that begin with one,
need pymatting (extra `matting`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.errors import FrameError
from graspcut.matting.classical import CLASSICAL_METHODS, ClassicalMethod, classical_alpha
from graspcut.matting.images import normalised_trimap
from graspcut.matting.inference import AlphaFunction, augmented, padded, windowed
from graspcut.matting.refinement_config import RefinementConfig
from graspcut.matting.result import Matte
from graspcut.matting.trimap import with_estimate
from graspcut.runtime.contract import ArraySpec, BackendError, TaskContract
from graspcut.runtime.opening import OpenOptions
from graspcut.runtime.predictor import Inputs, Predictor

if TYPE_CHECKING:
    from torch import nn


TASK = "matting"
DEFAULT_MODEL = "lsa-matting-on-closed-form"
DEFAULT_MEMORY_MB = 2000
# What a network keeps of a pixel at the same time: an estimate from its channels at full and half size.
_BYTES_A_PIXEL = 1200
_EXAMPLE_SEED = 777_002

CONTRACT = TaskContract(
    task=TASK,
    labels=(),
    arrays=(
        ArraySpec("colour", "uint8", ("batch", "height", "width", 3)),
        ArraySpec("trimap", "uint8", ("batch", "height", "width")),
    ),
    settings=(),
    outputs=(ArraySpec("alpha", "float32", ("batch", "height", "width")),),
)


@dataclass(frozen=True)
class ClassicalSession:
    """Closed-form or KNN matting where a network's session stands; see `graspcut.runtime.contract.Session`."""

    method: ClassicalMethod
    backend: str = "pymatting"
    device: str = "cpu"
    precision: str = "fp64"
    parallel_calls: int = 1

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Alpha of every image of the batch."""
        pairs = zip(inputs["colour"], inputs["trimap"], strict=True)
        return {"alpha": np.stack([classical_alpha(image, trimap, self.method) for image, trimap in pairs])}


class Matter(Predictor):
    """Estimates alpha; see `Predictor` for loading.

    `load` also takes "closed-form" and "knn"; without a name it takes the default.

    Attributes:
        memory_mb: images that would need more are done in tiles.
    """

    contract = CONTRACT
    default_model = DEFAULT_MODEL
    memory_mb = DEFAULT_MEMORY_MB

    @classmethod
    def open(cls, options: OpenOptions) -> Self:
        """`load` with its arguments in one value; an empty model is the default."""
        name = str(options.model) or cls.default_model
        for method in CLASSICAL_METHODS:
            if name == method:
                if options.backend != "auto" or options.precision != "auto":
                    raise BackendError(
                        f"{name} is no network: it runs in pymatting, in double precision. Leave --backend and "
                        "--precision out, or name a model"
                    )
                return cls(ClassicalSession(method), name=method)
        return super().open(options)

    @classmethod
    def build_network(cls, config: Mapping[str, Any]) -> nn.Module:
        """One of `graspcut.matting.models`."""
        from graspcut.matting.models import build_model

        return build_model(config)

    @classmethod
    def graph(cls, network: nn.Module) -> nn.Module:
        """Everything between bytes and alpha."""
        from graspcut.matting.graph import MattingGraph

        return MattingGraph(network)

    @classmethod
    def example(cls, width: int, height: int, batch: int = 1, seed: int = 0) -> Inputs:
        """Drawn foregrounds over drawn backgrounds; sides are rounded up to multiples of 128, which the graph needs."""
        from graspcut.matting.inference import PADDING_MULTIPLE
        from graspcut.matting.procedural.source import ProceduralMattes
        from graspcut.matting.trimap import trimap_from_alpha

        source = ProceduralMattes(
            width + -width % PADDING_MULTIPLE, height + -height % PADDING_MULTIPLE, _EXAMPLE_SEED + seed
        )
        colours, trimaps = [], []
        for index in range(batch):
            drawn, behind = source.foreground(index), source.background(index)
            weight = drawn.alpha[..., None]
            colours.append(np.rint(255 * (weight * drawn.colours + (1 - weight) * behind)).astype(np.uint8))
            trimaps.append(trimap_from_alpha(drawn.alpha, 8, 8))
        return {"colour": np.stack(colours), "trimap": np.stack(trimaps)}

    @classmethod
    def from_network(
        cls, network: nn.Module, *, device: str = "auto", threads: int | None = None, precision: str = "fp32"
    ) -> Self:
        """See `Predictor.from_network`."""
        matter = super().from_network(network, device=device, threads=threads, precision=precision)
        own = getattr(network, "config", None)
        matter.config = {"model": {"arguments": {"begins_with": getattr(own, "begins_with", "colours")}}}
        return matter

    @property
    def begins_with_closed_form(self) -> bool:
        """Whether the network wants closed-form's matte in the trimap, see `graspcut.matting.trimap.with_estimate`."""
        arguments = (self.config.get("model") or {}).get("arguments") or {}
        return bool(arguments.get("begins_with") == "closed-form")

    @property
    def is_classical(self) -> bool:
        """Whether no network is used."""
        return isinstance(self.session, ClassicalSession)

    @property
    def description(self) -> str:
        """What runs, in a few words."""
        return f"{self.name} by pymatting" if self.is_classical else super().description

    def __call__(
        self,
        image: NDArray[np.uint8],
        trimap: NDArray[np.uint8],
        *,
        augment: bool = False,
        refine: RefinementConfig | None = None,
    ) -> Matte:
        """Estimates the matte of one image.

        Args:
            image: (H, W, 3) uint8 RGB.
            trimap: (H, W) uint8: below 50 background, above 200 foreground, between them unknown.
            augment: test-time augmentation: the mean over 3 scales x 8 symmetries, 30 times the work.
            refine: backpropagating refinement; needs a network in PyTorch (`backend="pytorch"`).

        Returns:
            Alpha of the image's size, 0 and 1 where the trimap is known.

        Raises:
            FrameError: if the arrays are no image and trimap of one size.
            BackendError: if refinement is asked for and cannot be.
        """
        check_image_and_trimap(image, trimap)
        marked = normalised_trimap(trimap)
        estimate = self._estimate if refine is None else self._refining(refine)
        if augment:
            estimate = augmented(estimate)
        return Matte(image, marked, estimate(image, marked))

    def _estimate(self, image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.is_classical:
            return self._run(image, trimap)
        return self._on_windows(self._run, _BYTES_A_PIXEL, image, trimap)

    def _on_windows(
        self, estimate: AlphaFunction, bytes_a_pixel: int, image: NDArray[np.uint8], trimap: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """What has unknown pixels, in tiles if need be. Closed-form's matte is found once, for all of it."""
        most_pixels = self.memory_mb * 1_000_000 // bytes_a_pixel
        return windowed(padded(estimate), most_pixels)(image, self._with_estimate(image, trimap))

    def _run(self, image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(self.run({"colour": image[None], "trimap": trimap[None]})["alpha"][0])

    def _with_estimate(self, image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not self.begins_with_closed_form:
            return trimap
        return with_estimate(trimap, classical_alpha(image, trimap, "closed-form"))

    def _refining(self, config: RefinementConfig) -> AlphaFunction:
        network = self._network()
        from graspcut.matting.refinement import refined_alpha

        def refined(image: NDArray[np.uint8], trimap: NDArray[np.uint8]) -> NDArray[np.float32]:
            return refined_alpha(network, image, trimap, config).alpha

        return lambda image, trimap: self._on_windows(refined, 3 * _BYTES_A_PIXEL, image, trimap)

    def _network(self) -> Any:
        if self.is_classical or self._options is None or self._options.is_file:
            raise BackendError(
                f"refinement works on the layers of a network, and {self.name or 'this'} has none to work on: load a "
                "model folder"
            )
        if not hasattr(self, "_loaded_network"):
            self._loaded_network = type(self).load_network(self._options.model)
        return self._loaded_network


def check_image_and_trimap(image: NDArray[Any], trimap: NDArray[Any]) -> None:
    """Refuses what is no 8-bit colour image with a trimap of its size.

    Raises:
        FrameError: says what came and what was expected.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise FrameError(f"the image is {image.shape} {image.dtype}; expected (H, W, 3) uint8 in RGB order.")
    if trimap.dtype != np.uint8 or trimap.shape != image.shape[:2]:
        raise FrameError(
            f"the trimap is {trimap.shape} {trimap.dtype} and the image {image.shape}; expected (H, W) uint8 of the "
            "image's size."
        )
