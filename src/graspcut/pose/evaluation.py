"""`graspcut evaluate pose`: text files of predicted joints against the truth, as table and curve."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.pose.joint_table import read_joint_table
from graspcut.pose.metrics import DEFAULT_DISTANCES_MM, JointErrors, joint_errors, joints_from_uvd
from graspcut.runtime.engines import extra_hint

TABLE_DISTANCES_MM = (10.0, 20.0, 30.0, 40.0, 60.0, 80.0)

CAMERAS: Mapping[str, Camera] = {
    "nyu": Camera(588.03, 587.07, 320.0, 240.0, 640, 480),
    "icvl": Camera(241.42, 241.42, 160.0, 120.0, 320, 240),
    "msra": Camera(241.42, 241.42, 160.0, 120.0, 320, 240),
}


def find_camera(name: str) -> Camera:
    """A camera by the name of its data set, or from a JSON file as `Camera.to_dict` writes.

    Raises:
        ValueError: If it is neither.
    """
    if name in CAMERAS:
        return CAMERAS[name]
    if Path(name).suffix == ".json":
        return Camera.from_dict(read_json(name))
    raise ValueError(f"camera {name!r} is unknown; expected one of {', '.join(CAMERAS)} or a .json file of a camera.")


def read_joint_text(path: str | Path) -> NDArray[np.float64]:
    """Read one frame a line, u v d of every joint: columns and rows in pixels, depth in mm.

    Returns:
        (frames, joints, 3) float64; "nan" marks a joint that is not there.

    Raises:
        FrameError: If the file is missing, or its lines do not all hold the same number of u v d triples.
    """
    try:
        text = Path(path).read_text()
    except FileNotFoundError as error:
        raise FrameError(f"{path} does not exist; expected a text file with u v d of every joint a line.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise FrameError(f"{path} cannot be read as text ({error}); expected u v d of every joint a line.") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file is reported below
            values = np.loadtxt(io.StringIO(text), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise FrameError(
            f"{path}: {error}. Expected numbers only, as many on every line: u v d of every joint, 42 for NYU's 14."
        ) from error
    if values.size == 0 or values.shape[1] % 3:
        raise FrameError(
            f"{path} has {len(values)} line(s) of {values.shape[1] if values.size else 0} numbers; "
            f"expected at least one "
            "line and three numbers (u v d) a joint."
        )
    return values.reshape(len(values), -1, 3)


@dataclass(frozen=True, eq=False)
class JointReport:
    """Joint errors of one or more methods on the same frames.

    Attributes:
        errors: By name of the method.
    """

    errors: Mapping[str, JointErrors]

    def table(self) -> str:
        """One row a method: mean errors in mm and the fraction of frames with all joints within some distances."""
        within = "".join(f"{f'<= {distance:g} mm':>11}" for distance in TABLE_DISTANCES_MM)
        width = max(12, *(len(name) for name in self.errors))
        lines = [f"{'':{width}}{'frames':>8}{'joints':>8}{'3D mm':>10}{'2D mm':>10}{within}"]
        for name, errors in self.errors.items():
            frames, joints = errors.error_3d_mm.shape
            fractions = "".join(f"{fraction:>11.4f}" for fraction in errors.fraction_within(TABLE_DISTANCES_MM))
            lines.append(
                f"{name:{width}}{frames:>8}{joints:>8}{errors.mean_3d_mm:>10.3f}{errors.mean_2d_mm:>10.3f}{fractions}"
            )
            missing = int(errors.missing.sum())
            if missing:
                lines.append(f"{'':{width}}  {missing} known joints were not predicted and are left out of the means")
        lines.append("\nlast columns: frames of which every joint is within that distance")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """All numbers for JSON."""
        return {
            name: {
                "frames": errors.error_3d_mm.shape[0],
                "joints": errors.error_3d_mm.shape[1],
                "mean_3d_mm": _number(errors.mean_3d_mm),
                "mean_2d_mm": _number(errors.mean_2d_mm),
                "per_joint_3d_mm": [_number(_nan_mean(column)) for column in errors.error_3d_mm.T],
                "missing": int(errors.missing.sum()),
                "distances_mm": list(DEFAULT_DISTANCES_MM),
                "frames_within": [_number(value) for value in errors.fraction_within(DEFAULT_DISTANCES_MM)],
            }
            for name, errors in self.errors.items()
        }

    def save(self, path: str | Path) -> None:
        """Write all numbers as JSON."""
        write_json_atomically(path, {"task": "pose", "methods": self.to_dict()})

    def plot(self, path: str | Path) -> None:
        """Draw figure 8 into a .png or .svg: the fraction of frames with all joints within a distance.

        Raises:
            ModuleNotFoundError: If matplotlib is missing (the extra `pose`).
        """
        curves = {name: errors.fraction_within(DEFAULT_DISTANCES_MM) for name, errors in self.errors.items()}
        means = {name: errors.mean_3d_mm for name, errors in self.errors.items()}
        write_bytes_atomically(path, draw_curves(curves, means, Path(path).suffix[1:] or "png"))


def _nan_mean(values: NDArray[np.float64]) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def draw_curves(curves: Mapping[str, NDArray[np.float64]], means: Mapping[str, float], kind: str) -> bytes:
    """Figure 8 as the bytes of an image of that kind ("png", "svg")."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"drawing the curve needs matplotlib, which is not installed; expected: {extra_hint('pose')}. "
            "Without --plot the numbers are printed all the same."
        ) from error
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for name in sorted(curves, key=lambda key: means[key]):
        axes.plot(DEFAULT_DISTANCES_MM, 100 * curves[name], label=f"{name} ({means[name]:.1f} mm)")
    axes.set(xlim=(0, 80), ylim=(0, 100), xlabel="distance D, mm", ylabel="frames with all joints within D, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=130)
    return buffer.getvalue()


def evaluate_joint_files(predictions: Sequence[str | Path], groundtruth: str | Path, camera: Camera) -> JointReport:
    """Compare files of predictions with the truth: text (see `read_joint_text`), or CSV as `graspcut pose` writes.

    In CSV files the hands of a frame belong together by their number; a hand that was not predicted misses all its
    joints.

    Raises:
        FrameError: If a file cannot be read, or has other frames or joints than the truth.
    """
    if Path(groundtruth).suffix == ".csv":
        return _evaluate_tables(predictions, groundtruth)
    truth = read_joint_text(groundtruth)
    truth_mm = joints_from_uvd(truth, camera)
    errors: dict[str, JointErrors] = {}
    for path in predictions:
        predicted = read_joint_text(path)
        if predicted.shape != truth.shape:
            raise FrameError(
                f"{path} has {predicted.shape[0]} lines of {predicted.shape[1]} joints, {groundtruth} has "
                f"{truth.shape[0]} lines of {truth.shape[1]}; expected the same frames and joints in the same order."
            )
        name = Path(path).stem
        errors[name if name not in errors else str(path)] = joint_errors(joints_from_uvd(predicted, camera), truth_mm)
    return JointReport(errors)


def _evaluate_tables(predictions: Sequence[str | Path], groundtruth: str | Path) -> JointReport:
    """Compare CSV files of joints in camera mm."""
    truth = {(hand.frame, hand.hand): hand.joints_mm for hand in read_joint_table(groundtruth)}
    if not truth:
        raise FrameError(f"{groundtruth} has no rows; expected joints to compare with.")
    errors: dict[str, JointErrors] = {}
    for path in predictions:
        found = {(hand.frame, hand.hand): hand.joints_mm for hand in read_joint_table(path)}
        if not set(found) & set(truth):
            raise FrameError(
                f"{path} and {groundtruth} have no frame and hand in common; expected the same names "
                f"in the column frame."
            )
        missing = np.full_like(next(iter(truth.values())), np.nan)
        predicted = np.stack([found.get(key, missing) for key in truth])
        name = Path(path).stem
        errors[name if name not in errors else str(path)] = joint_errors(predicted, np.stack(list(truth.values())))
    return JointReport(errors)
