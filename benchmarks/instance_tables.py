"""Table 3 of InstanceFCN on composed depth frames, and the frames of all tables.

    python benchmarks/instance_tables.py frames --out frames
    python benchmarks/instance_tables.py baselines --frames frames --save baselines.json
    python benchmarks/instance_tables.py model --frames frames --model instance-fcn-small --save model.json
    python benchmarks/instance_tables.py figures --rows baselines.json model.json --out recall.png

`frames` writes three sets of 320x240 frames with up to two hands, what they hold, up to three more objects, apart or
touching, before clutter: "train" and "validation" of the training kinds, "test" of object kinds that no training shows.
Tables 1 and 2 are `instance_comparison.py`, table 4 is `instance_classes.py`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graspcut.frames.camera import Camera, focal_length_px
from graspcut.frames.dataset import DatasetReader
from graspcut.frames.frame import Frame
from graspcut.frames.json_files import read_json, write_json_atomically
from graspcut.frames.labelled import LabelledFrame
from graspcut.instances.components import component_proposals
from graspcut.instances.composing import ComposedConfig, write_composed
from graspcut.instances.evaluation import PROPOSAL_LIMITS, ProposalReport, evaluate_proposals
from graspcut.instances.proposing import ProposalConfig, propose
from graspcut.instances.selective_search import depth_channels, selective_search
from graspcut.instances.truth import frames_groundtruth, mask_results

SETS = {"test": (1200, 300, True), "train": (1100, 3000, False), "validation": (1300, 80, False)}
NUMBERS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
Found = tuple[NDArray[np.bool_], NDArray[np.floating[Any]]]


def smaller(frame: LabelledFrame, width: int) -> LabelledFrame:
    """A frame at a fraction of its size: every n-th pixel."""
    step = frame.frame.width // width
    if step <= 1:
        return frame
    camera = frame.frame.camera
    part = np.s_[step // 2 :: step, step // 2 :: step]
    depth = np.ascontiguousarray(frame.frame.depth_mm[part])
    resized: Camera | None = None if camera is None else camera.resized(depth.shape[1], depth.shape[0])
    assert frame.instances is not None
    return LabelledFrame(
        Frame(depth, camera=resized, name=frame.frame.name),
        np.ascontiguousarray(frame.labels[part]),
        np.ascontiguousarray(frame.instances[part]),
        instance_table=frame.instance_table,
    )


def test_frames(folder: Path, count: int, width: int) -> list[LabelledFrame]:
    """The first frames of the test set."""
    reader = DatasetReader(folder / "test")
    return [smaller(reader[index], width) for index in range(min(count, len(reader)))]


def scored(
    frames: Sequence[LabelledFrame],
    proposer: Callable[[LabelledFrame], Found],
    limits: Sequence[int] = PROPOSAL_LIMITS,
) -> ProposalReport:
    """Average recall of proposals over frames; instances of fewer than 40 pixels of 160x120 do not count."""
    smallest = 40 * frames[0].frame.width * frames[0].frame.height // (160 * 120)
    truth = frames_groundtruth(frames, smallest_px=smallest)
    return evaluate_proposals(truth, mask_results(proposer(frame) for frame in frames), limits=limits)


def numbers(report: ProposalReport, **more: Any) -> dict[str, Any]:
    """What is kept of a report."""

    def percent(values: Mapping[int, float]) -> dict[str, float]:
        return {str(limit): round(100 * value, 2) for limit, value in values.items() if limit in PROPOSAL_LIMITS}

    row = {
        "ar": percent(report.average_recall),
        "integral": percent(report.average_recall_integral),
        "recall_at_50": percent({limit: values[0] for limit, values in report.recall.items()}),
        "objects": report.objects,
        **more,
    }
    if len(report.average_recall) > len(PROPOSAL_LIMITS):
        row["ar_by_number"] = [[limit, round(100 * value, 2)] for limit, value in report.average_recall.items()]
        row["recall_by_iou"] = {
            str(limit): [[iou, round(100 * recall, 2)] for iou, recall in report.curve[limit]]
            for limit in PROPOSAL_LIMITS
        }
    return row


def network_proposer(network: Any, most: int = 1000) -> Callable[[LabelledFrame], Found]:
    """Proposals of a network in PyTorch."""
    from graspcut.instances.scoring import score_windows

    def found(frame: LabelledFrame) -> Found:
        depth = frame.frame.depth_mm
        focal = focal_length_px(frame.frame.camera, depth.shape[1])
        geometry = network.config.geometry
        result = propose(score_windows(network, depth[..., None], focal), geometry, ProposalConfig(most=most))
        return result.masks_along_depth(depth)[0], result.scores

    return found


def baselines(frames: Path, count: int, save: Path) -> None:
    """Selective search, and connected components of the labels of `graspcut segment`."""
    from graspcut.segmentation.predictor import Segmenter

    tests = test_frames(frames, count, 320)
    segmenter = Segmenter.load(threads=2)

    def searched(frame: LabelledFrame) -> Found:
        small = smaller(frame, 160)
        masks, scores = selective_search(depth_channels(small.frame.depth_mm))
        return masks[:1000].repeat(2, axis=1).repeat(2, axis=2), scores[:1000]

    def components(frame: LabelledFrame, step: bool) -> Found:
        labels = segmenter(frame.frame).labels
        return component_proposals(labels, frame.frame.depth_mm if step else None, smallest_px=40)

    rows = {
        "selective search": searched,
        "components of labels": lambda frame: components(frame, False),
        "components of labels, cut at depth steps": lambda frame: components(frame, True),
        "components of true labels": lambda frame: component_proposals(frame.labels, smallest_px=40),
    }
    write_rows(
        save, {name: numbers(scored(tests, proposer, NUMBERS), frames=len(tests)) for name, proposer in rows.items()}
    )


def model(frames: Path, count: int, name: str, most: int, save: Path) -> None:
    """A trained network on the same frames."""
    from graspcut.instances.predictor import InstanceProposer

    proposer = InstanceProposer.load(name, threads=2)

    def found(frame: LabelledFrame) -> Found:
        result = proposer(frame.frame)
        return result.masks, result.scores

    tests = test_frames(frames, count, 320)
    rows = {}
    # As in the paper, and in the order that `graspcut propose` takes.
    shipped = replace(proposer.settings, most=most)
    for way, settings in (("as shipped", shipped), ("order of the paper", replace(shipped, rescoring_width=0.0))):
        proposer.settings = settings
        row = numbers(scored(tests, found, NUMBERS), frames=len(tests), precision=proposer.session.precision)
        rows[f"{Path(name).name}, {way}"] = row
    write_rows(save, rows)


def figures(sources: Sequence[Path], out: Path) -> None:
    """Figures 6 and 7: recall against the overlap asked for, at 10, 100 and 1000 proposals, and AR against number."""
    from matplotlib.figure import Figure

    rows = {name: row for source in sources for name, row in read_json(source)["rows"].items()}
    figure = Figure(figsize=(13, 3.6), layout="constrained")
    panels = figure.subplots(1, 4)
    for axes, limit in zip(panels, PROPOSAL_LIMITS, strict=False):
        for name, row in rows.items():
            overlap, recall = zip(*row["recall_by_iou"][str(limit)], strict=True)
            axes.plot(overlap, recall, label=name)
        axes.set(title=f"{limit} proposals", xlabel="IoU", xlim=(0.5, 1), ylim=(0, 100))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("recall, %")
    for name, row in rows.items():
        number, recall = zip(*row["ar_by_number"], strict=True)
        panels[3].plot(number, recall, label=name)
    panels[3].set(title="average recall", xlabel="proposals", xscale="log", xlim=(1, 1000), ylim=(0, 100))
    panels[3].grid(alpha=0.3)
    panels[3].legend(fontsize=6.5, loc="upper left")
    figure.savefig(out, dpi=110)


def write_rows(save: Path, rows: dict[str, Any]) -> None:
    """Prints and keeps rows."""
    for name, row in rows.items():
        print(f"{name:<42} {row['ar']}  integral {row['integral']}")
    write_json_atomically(save, {"rows": rows})


def main(arguments: Iterable[str] | None = None) -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("frames", "baselines", "model", "figures"))
    parser.add_argument("--out", type=Path, default=Path("frames"))
    parser.add_argument("--frames", type=Path, default=Path("frames"))
    parser.add_argument("--model", default="instance-fcn-small")
    parser.add_argument("--most", type=int, default=1000, help="proposals a frame of `model`")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--rows", type=Path, nargs="*", default=[], help="files of `baselines` and `model`")
    parser.add_argument("--save", type=Path, default=Path("instance-tables.json"))
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.what == "frames":
        for name, (seed, count, held_out) in SETS.items():
            config = ComposedConfig(width=320, height=240, held_out_kinds=held_out)
            write_composed(config, seed=seed, count=count, out=options.out / name)
            print(f"{options.out / name}: {count} frames")
    elif options.what == "figures":
        figures(options.rows, options.out)
    elif options.what == "baselines":
        baselines(options.frames, options.count, options.save)
    else:
        model(options.frames, options.count, options.model, options.most, options.save)


if __name__ == "__main__":
    main()
