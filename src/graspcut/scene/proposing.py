"""Instance proposals of many frames into a folder, joined with labels and followed over recordings.

What is in the folder afterwards:

    NAME.png            (H, W) uint8 ids of the frame's hands and objects; in recordings they stay with their thing
    overlay/NAME.png    a picture of them
    instances.json      what each id is in each frame: hand or object, left or right, which hand holds it
    proposals.json      all proposals of all frames in COCO's result format, masks as run lengths
    images.json         which image_id is which frame, in COCO's format
    proposals/NAME.json what came of one frame; a stopped run continues from these
    summary.json        see `graspcut.runtime.folder_run`

Frames are worked on side by side; ids over time and everything that joins frames are made afterwards, in their order.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera, CameraLike, focal_length_px, given_camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import encode_image
from graspcut.frames.json_files import json_bytes, read_json, write_json_atomically
from graspcut.frames.recording import Recording
from graspcut.frames.sources import FoundFrame, find_frames
from graspcut.instances.coco import decode_mask, encode_mask, write_json_list
from graspcut.instances.result import InstanceProposals
from graspcut.labels import LABEL_NAMES
from graspcut.runtime.folder_run import FolderReport, FrameResult, ProgressCallback, ending_bytes, run_over_frames
from graspcut.runtime.pipeline import LimitedCalls
from graspcut.scene.instances import JoinConfig, SceneInstance, SceneInstances, Side, SideOf, join_instances
from graspcut.scene.tracking import TrackingState, track
from graspcut.segmentation.interfaces import FrameSegmenter

PROPOSALS_FOLDER, OVERLAY_FOLDER = "proposals", "overlay"
PROPOSALS_FILE, INSTANCES_FILE, IMAGES_FILE = "proposals.json", "instances.json", "images.json"
CATEGORY = 1


FrameProposer = Callable[[NDArray[np.float32], Camera | None], InstanceProposals]
FrameSides = Callable[[NDArray[np.float32], NDArray[np.bool_], Camera | None], Side | None]
"""(depth, mask of a hand, camera) -> which hand it is, such as `graspcut.scene.hand_sides.HandSides`."""


@dataclass(frozen=True)
class ProposalOptions:
    """How a folder is made.

    Attributes:
        models: names of the networks, recorded in summary.json.
        focal_px: focal length for frames whose source has no camera.
        camera: intrinsics for these frames instead; whatever `Camera.of` takes.
        follow: keep ids over time; None does so for recordings.
        join: how proposals and labels become things.
    """

    models: tuple[str, str] = ("", "")
    focal_px: float | None = None
    follow: bool | None = None
    join: JoinConfig = field(default_factory=JoinConfig)
    camera: CameraLike | None = None

    def __post_init__(self) -> None:
        given_camera(self.camera, self.focal_px)

    @property
    def given_camera(self) -> CameraLike | None:
        """What is known of frames whose source has no camera."""
        return given_camera(self.camera, self.focal_px)


def propose_folder(
    inputs: Sequence[str | Path],
    out: str | Path,
    proposer: FrameProposer,
    segmenter: FrameSegmenter,
    *,
    options: ProposalOptions | None = None,
    sides: FrameSides | None = None,
    depth_unit_mm: float | None = None,
    progress: ProgressCallback | None = None,
) -> FolderReport:
    """Proposes on all frames of files, folders and recordings; see the module.

    Args:
        inputs, out, depth_unit_mm, progress: see `run_over_frames`.
        proposer: proposes on one frame, such as an `InstanceProposer`.
        segmenter: labels one frame, such as a `Segmenter`.
        options: the rest.
        sides: tells left from right hands.

    Raises:
        FrameError: see `run_over_frames`.
        OSError: if results cannot be written.
        ModuleNotFoundError: what compiles the loops of proposing is not installed.
    """
    # Here, because an import that fails in two threads at once says in the second of them only that a name is missing.
    importlib.import_module("graspcut.instances.pasting_kernel")
    options = options if options is not None else ProposalOptions()
    job = _ProposalJob(proposer, segmenter, options, sides, depth_unit_mm)
    given = options.given_camera
    report = run_over_frames(inputs, out, job, depth_unit_mm=depth_unit_mm, camera=given, progress=progress)
    done = {row["name"] for row in report.rows}
    usable = [place for place in inputs if str(place) not in {name for name, _ in report.failures}]
    found = find_frames(usable, depth_unit_mm=depth_unit_mm, camera=given, ending_bytes=ending_bytes(job))
    found = [frame for frame in found if frame.name in done]
    finish_folder(found, Path(out), options)
    return report


@dataclass(frozen=True)
class _ProposalJob:
    """See `graspcut.runtime.folder_run.FrameJob`; the arguments are those of `propose_folder`."""

    proposer: FrameProposer
    segmenter: FrameSegmenter
    options: ProposalOptions
    sides: FrameSides | None
    depth_unit_mm: float | None

    @property
    def settings(self) -> dict[str, Any]:
        most = getattr(getattr(self.proposer, "settings", None), "most", None)
        return {
            "model": self.options.models[0],
            "labels": self.options.models[1],
            "most": most,
            "focal_px": self.options.focal_px,
            "depth_unit_mm": self.depth_unit_mm,
            # None where it changes nothing: folders of earlier versions do not have it.
            "camera": None if self.options.camera is None else str(self.options.camera),
            "sides": None if self.sides is None else True,
        }

    @property
    def _parts(self) -> tuple[object, ...]:
        return (self.proposer, self.segmenter, *([] if self.sides is None else [self.sides]))

    @property
    def identity(self) -> str:
        return " ".join(str(getattr(part, "digest", "")) for part in self._parts).strip()

    @property
    def parallel_calls(self) -> int | None:
        known = [getattr(part, "parallel_calls", None) for part in self._parts]
        counts = [count for count in known if count is not None]
        return min(counts) if counts else None

    def outputs(self, name: str) -> tuple[str, ...]:
        return (f"{PROPOSALS_FOLDER}/{name}.json",)

    def process(self, frame: Frame, name: str, limited: LimitedCalls) -> FrameResult:
        camera = frame.camera
        proposals = limited(lambda: self.proposer(frame.depth_mm, camera))
        labels = limited(lambda: self.segmenter(frame.depth_mm, camera).labels)
        sides = self.sides
        side_of: SideOf | None = None
        if sides is not None:
            side_of = lambda mask: limited(lambda: sides(frame.depth_mm, mask, camera))  # noqa: E731
        scene = join_instances(proposals, labels, side_of=side_of, config=self.options.join)
        things = [{**thing.to_dict(), "segmentation": encode_mask(scene.mask(thing.id))} for thing in scene.instances]
        content = {
            "height": frame.height,
            "width": frame.width,
            "focal_px": focal_length_px(camera, frame.width),
            "proposals": proposals.coco_entries(0, CATEGORY),
            "instances": things,
        }
        return FrameResult({f"{PROPOSALS_FOLDER}/{name}.json": json_bytes(content, one_line=True)}, _row(content))

    def reread(self, name: str, folder: Path) -> dict[str, Any]:
        content = read_json(folder / PROPOSALS_FOLDER / f"{name}.json")
        if not isinstance(content.get("instances"), list) or not isinstance(content.get("proposals"), list):
            raise FrameError(f"{folder / PROPOSALS_FOLDER / name}.json holds no proposals; it is made again.")
        return _row(content)


def _row(content: dict[str, Any]) -> dict[str, Any]:
    kinds = [thing["label"] for thing in content["instances"]]
    return {
        "width": content["width"],
        "height": content["height"],
        "proposals": len(content["proposals"]),
        "hands": kinds.count("hand"),
        "objects": kinds.count("object"),
    }


def scene_of(content: dict[str, Any], depth_mm: NDArray[np.float32]) -> SceneInstances:
    """The things of a frame from what was stored of it."""
    ids = np.zeros(depth_mm.shape, np.uint8)
    things = []
    for entry in content["instances"]:
        ids[decode_mask(entry["segmentation"])] = entry["id"]
        label = LABEL_NAMES.index(entry["label"])
        things.append(
            SceneInstance(entry["id"], label, entry["score"], entry["pixels"], entry["side"], entry["held_by"])
        )
    return SceneInstances(ids, tuple(things), depth_mm)


def finish_folder(frames: Sequence[FoundFrame], out: Path, options: ProposalOptions) -> None:
    """Writes what joins the frames of a folder: ids over time, pictures, the files of all frames.

    Args:
        frames: those that are done, in their order.
        out: the folder.
        options: as for `propose_folder`.
    """
    (out / OVERLAY_FOLDER).mkdir(exist_ok=True)
    proposals: list[dict[str, Any]] = []
    images, described = [], []
    states: dict[int, TrackingState] = {}
    for number, found in enumerate(frames, start=1):
        content = read_json(out / PROPOSALS_FOLDER / f"{found.name}.json")
        scene = scene_of(content, found.load().depth_mm)
        source = id(found.source)
        if options.follow or (options.follow is None and isinstance(found.source, Recording)):
            scene, states[source] = track(scene, states.get(source), focal_px=content["focal_px"])
        write_bytes_atomically(out / f"{found.name}.png", encode_image(scene.ids, ".png"), sync=False)
        picture = encode_image(scene.draw(), ".png")
        write_bytes_atomically(out / OVERLAY_FOLDER / f"{found.name}.png", picture, sync=False)
        proposals += [{**entry, "image_id": number} for entry in content["proposals"]]
        size = {"height": content["height"], "width": content["width"]}
        images.append({"id": number, "file_name": f"{found.name}.png", **size})
        described.append({"name": found.name, "instances": [thing.to_dict() for thing in scene.instances]})
    write_json_list(out / PROPOSALS_FILE, proposals)
    categories = [{"id": CATEGORY, "name": "object"}]
    write_json_atomically(out / IMAGES_FILE, {"images": images, "annotations": [], "categories": categories})
    write_json_atomically(out / INSTANCES_FILE, {"frames": described})
