"""One frame of a recording: read, annotated, written into the dataset folder. The same in any process or machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graspcut.annotate.colour_rules import ColourRules
from graspcut.annotate.pipeline import Annotation, AnnotationConfig, annotate_frame
from graspcut.annotate.quality import quality_of
from graspcut.frames.camera import CameraLike, given_camera
from graspcut.frames.dataset import DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.recording import Recording
from graspcut.frames.sources import DatasetFrames, FoundFrame, find_frames


@dataclass(frozen=True)
class AnnotationJob:
    """What is annotated, how, and where to.

    Attributes:
        inputs: Recordings, dataset folders or folders of images with colour.
        out: The dataset folder.
        rules: Colour rules.
        depth_unit_mm: Unit of the dataset's depth files; that of the inputs, so that files can be copied.
        input_unit_mm: Unit of inputs that do not say it, or None.
        focal_px: Focal length of inputs that have no camera, or None.
        camera: Intrinsics of these inputs instead; whatever `Camera.of` takes.
        config: Thresholds.
        provenance: Where the data are from and their licence; goes into `dataset.json`.
    """

    inputs: tuple[str, ...]
    out: str
    rules: ColourRules
    depth_unit_mm: float
    input_unit_mm: float | None = None
    focal_px: float | None = None
    config: AnnotationConfig = field(default_factory=AnnotationConfig)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    camera: CameraLike | None = None

    def find_frames(self) -> list[FoundFrame]:
        """The frames of the inputs, not read yet.

        Raises:
            FrameError: If an input cannot be opened, or camera and focal length were given.
        """
        return find_frames(
            self.inputs, depth_unit_mm=self.input_unit_mm, camera=given_camera(self.camera, self.focal_px)
        )

    def settings(self) -> dict[str, Any]:
        """What must be the same to continue a run; plain values for JSON."""
        return {
            "inputs": [str(Path(entry).resolve()) for entry in self.inputs],
            "rules": self.rules.to_dict(),
            "depth_unit_mm": self.depth_unit_mm,
            "input_unit_mm": self.input_unit_mm,
            "focal_px": self.focal_px,
            "config": dataclasses.asdict(self.config),
            **({} if self.camera is None else {"camera": str(self.camera)}),
        }

    @property
    def description(self) -> dict[str, Any]:
        """The entry `description` of `dataset.json`."""
        names = [Path(entry).resolve().name for entry in self.inputs]
        return {"made_by": "graspcut annotate", "recordings": names, **self.provenance}


class FrameAnnotator:
    """Annotates frames of a job by their number; opens its inputs once.

    Args:
        job: The job.
        claim: Whether frames will be written; False only counts them.
    """

    def __init__(self, job: AnnotationJob, *, claim: bool = True) -> None:
        self.job = job
        self.found: list[FoundFrame] = job.find_frames()
        self._writer = (
            DatasetWriter(job.out, depth_unit_mm=job.depth_unit_mm, description=job.description, batched=True)
            if claim
            else None
        )

    def __len__(self) -> int:
        return len(self.found)

    def __call__(self, index: int) -> dict[str, Any]:
        """Annotates and writes frame `index`.

        Returns:
            Its index, name, and "fault": None, or why it could not be used.
        """
        assert self._writer is not None
        entry = self.found[index]
        try:
            frame = entry.load()
            annotation = _annotated(frame, self.job)
            extra = {
                "quality": quality_of(annotation).to_dict(),
                "recording": entry.origin.resolve().name,
                "source_frame": entry.source.names[entry.index],
                **told_of(frame),
            }
            self._writer.write(
                index,
                LabelledFrame(frame, annotation.labels),
                encoded=ready_files(entry, self.job.depth_unit_mm),
                extra=extra,
            )
        except ValueError as error:
            return {"index": index, "name": entry.name, "fault": str(error)}
        return {"index": index, "name": entry.name, "fault": None}

    def flush(self) -> None:
        """Waits until all frames written so far are on the disk."""
        if self._writer is not None:
            self._writer.flush()


def _annotated(frame: Frame, job: AnnotationJob) -> Annotation:
    """The frame's labels; what a strange frame makes of numpy or OpenCV is a `FrameError`, too."""
    try:
        return annotate_frame(frame, job.rules, job.config)
    except FrameError:
        raise
    except Exception as error:
        raise FrameError(f"{frame.name}: {type(error).__name__}: {error}") from error


def told_of(frame: Frame) -> dict[str, Any]:
    """What was assumed or is doubtful about a frame, for its meta file; nothing where all is well."""
    return {"notes": [[note.kind, note.text] for note in frame.notes]} if frame.notes else {}


def ready_files(entry: FoundFrame, depth_unit_mm: float) -> dict[str, bytes]:
    """Files of a frame's source that can be copied into a dataset of this unit as they are."""
    source = entry.source
    if isinstance(source, DatasetFrames):
        images, unit = source.reader.encoded_images(entry.index), source.reader.depth_unit_mm
    elif isinstance(source, Recording):
        images, unit = source.encoded_images(entry.index), source.depth_unit_mm
    else:
        return {}
    if unit != depth_unit_mm:
        images.pop("depth", None)
    return images


def common_unit_mm(found: list[FoundFrame], given: float | None) -> float:
    """The unit of all inputs' depth files.

    Raises:
        FrameError: If they have different ones; a dataset has one unit.
    """
    units = set()
    for source in {id(entry.source): entry.source for entry in found}.values():
        reader = source.reader if isinstance(source, DatasetFrames) else source
        units.add(float(getattr(reader, "depth_unit_mm", None) or given or 0.125))
    if len(units) > 1:
        raise FrameError(
            f"the inputs have depth units of {', '.join(f'{unit:g}' for unit in sorted(units))} mm; expected one. "
            "Annotate them into data sets of their own; training takes several."
        )
    return units.pop()
