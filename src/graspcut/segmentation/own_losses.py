"""Terms of the loss of the user's own, beside or instead of the paper's.

    def dice(logits: Tensor, batch: SegmentationBatch) -> Tensor: ...

    register_loss_term("dice", dice)

`graspcut train segmentation --loss-file my_loss.py --loss-term dice=0.5` then adds half of it to the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from graspcut.own_files import OwnFile, OwnFileError, file_of, run_own_file
from graspcut.segmentation.data import SegmentationBatch

LossTerm = Callable[[Tensor, SegmentationBatch], Tensor]
"""(logits (B, 3, H, W) float32, batch with `depth_mm`, `focal_px` and `labels`) -> a scalar that is to become small."""

_TAKEN = ("cross_entropy", "contour", "penalty", "loss")
_registered: dict[tuple[str, str], LossTerm] = {}


@dataclass(frozen=True)
class OwnLosses:
    """What a training adds to its loss.

    Attributes:
        terms: the functions by name.
        weights: what each is multiplied by.
        file: where they are defined.
    """

    terms: Mapping[str, LossTerm]
    weights: Mapping[str, float]
    file: OwnFile

    def weighted(self, logits: Tensor, batch: SegmentationBatch) -> dict[str, Tensor]:
        """The terms times their weights.

        Raises:
            ValueError: a term is no scalar.
        """
        found = {name: term(logits, batch) for name, term in self.terms.items()}
        for name, value in found.items():
            if not isinstance(value, Tensor) or value.ndim:
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f"the loss term {name} of {self.file.name} gave {shape}, expected a scalar tensor")
        return {name: self.weights[name] * value for name, value in found.items()}

    def describe(self) -> dict[str, Any]:
        """For run.json and config.json."""
        return {"terms": dict(self.weights), "file": asdict(self.file)}


def register_loss_term(name: str, term: LossTerm) -> None:
    """Makes a term of one's own known in this process.

    Args:
        name: in options and logs.
        term: called with float32 logits and the batch, see `LossTerm`. Labels of 255 are unknown and must not count.

    Raises:
        OwnFileError: it is defined in no file, or the name is that of one of the package's terms.
    """
    if name in _TAKEN:
        raise OwnFileError(f"a loss term cannot be called {name!r}: the package has one of that name")
    _registered[name, file_of(term).sha256] = term


def open_loss_file(path: str | Path, weights: Mapping[str, float] | None = None) -> OwnLosses:
    """Runs a file that registers loss terms.

    Args:
        path: of the file.
        weights: which terms to take, and what each is multiplied by; by default all of them, as they are.

    Raises:
        OwnFileError: it cannot be run, registers none, or lacks one that is asked for.
    """
    run_own_file(path)
    file = OwnFile.of(path)
    found = {name: term for (name, digest), term in sorted(_registered.items()) if digest == file.sha256}
    if not found:
        raise OwnFileError(f'{path} registers no loss term: end it with register_loss_term("name", function)')
    chosen = dict.fromkeys(found, 1.0) if not weights else dict(weights)
    unknown = [name for name in chosen if name not in found]
    if unknown:
        raise OwnFileError(f"{path} has no loss term {', '.join(unknown)}; it registers {', '.join(found)}")
    return OwnLosses({name: found[name] for name in chosen}, chosen, file)


def weights_of(texts: Sequence[str]) -> dict[str, float]:
    """["dice=0.5"] -> {"dice": 0.5}; a name alone has the weight 1.

    Raises:
        ValueError: a weight is no number.
    """
    found = {}
    for text in texts:
        name, _, weight = text.partition("=")
        try:
            found[name] = float(weight) if weight else 1.0
        except ValueError:
            raise ValueError(
                f"the loss term {text!r} is not understood; expected NAME=WEIGHT, such as dice=0.5"
            ) from None
    return found
