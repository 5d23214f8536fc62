"""Two synthetic domains for the hand pose experiments, which differ as the paper's Poser renders and NYU frames do.

    python benchmarks/pose_domains.py --out crops

source: a clean sensor, smaller hands, bare. target: larger hands, a Kinect's noise and holes, half of the hands holding
something that is cut away. Both are seen as NYU's are: right hands (left ones are mirrored) with the forearm from
below.
shipped: close-ups of any view, three sensors (profile v1). cameras: all cameras, at tables too (profile v2). arms:
wider windows with forearms. Each set has a test part from other seeds; the shipped one's holds objects of kinds that
training never sees.
families: hands of source and target whose pose is near one of a few, chosen among the source's, the same ones for both.
"""

from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from graspcut.pose.crops import HandCrops, render_crops
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.scenes.scene import SceneConfig
from graspcut.synth.sensors.names import SensorName

BARE = SceneConfig(nothing=0.0, object_only=0.0, hand_only=1.0, two_hands=0.0, sleeve=0.0, background_none=1.0)
MIXED = SceneConfig(nothing=0.0, object_only=0.0, hand_only=0.5, two_hands=0.0, sleeve=0.0, background_none=1.0)
HELD = SceneConfig(room=0.0, nothing=0.0, object_only=0.0, hand_only=0.2, two_hands=0.1, background_none=1.0)
# All places and cameras of profile v2 that show hands.
PLACES = SceneConfig(room=0.0, nothing=0.0, object_only=0.0, hand_only=0.25, two_hands=0.15, background_none=0.8)
WINDOW = (200, 200)
FAMILIES, FAMILY_MM = 10, 30.0


def hand_size(joints_mm: NDArray[np.float32]) -> float:
    """From the wrist to the middle finger's first joint, 1 at the renderer's mean of 92 mm."""
    return float(np.linalg.norm(joints_mm[9] - joints_mm[0])) / 92.0


def seen_as_nyu(joints_mm: NDArray[np.float32]) -> bool:
    """The hand points up within 50 degrees in the picture, and is not foreshortened by more than 50."""
    x, y, z = joints_mm[9] - joints_mm[0]
    length = float(np.linalg.norm(joints_mm[9] - joints_mm[0]))
    return bool(abs(np.degrees(np.arctan2(x, -y))) < 50.0 and abs(z) < length * np.sin(np.radians(50.0)))


def accept_source(joints_mm: NDArray[np.float32], _: bool) -> bool:
    """Smaller hands."""
    return hand_size(joints_mm) < 1.0 and seen_as_nyu(joints_mm)


def accept_target(joints_mm: NDArray[np.float32], _: bool) -> bool:
    """Larger hands."""
    return hand_size(joints_mm) >= 1.0 and seen_as_nyu(joints_mm)


def configuration(domain: str, test: bool, part: int) -> SynthConfig:
    """What is rendered for a domain."""
    if domain == "source":
        return SynthConfig(profile="v1", sensor="ideal", colour=False, window=WINDOW, scene=BARE, cut_background=0.0)
    if domain == "target":
        return SynthConfig(profile="v1", sensor="kinect", colour=False, window=WINDOW, scene=MIXED, cut_background=0.0)
    if domain == "cameras":
        return SynthConfig(colour=False, scene=PLACES, held_out_kinds=test, cut_background=0.0)
    if domain == "arms":
        return SynthConfig(sensor="sr300", colour=False, scene=HELD, focal_jitter=0.1, cut_background=0.0)
    sensors: tuple[SensorName, ...] = ("sr300", "kinect", "sr300", "ideal")
    sensor = sensors[part % 4] if not test else "sr300"
    return SynthConfig(
        profile="v1",
        sensor=sensor,
        colour=False,
        window=WINDOW,
        scene=HELD,
        held_out_kinds=test,
        focal_jitter=0.1,
        cut_background=0.0,
    )


def render_part(job: tuple[str, bool, int, int]) -> HandCrops:
    """One part of a set: every part has its own seed."""
    domain, test, part, count = job
    cv2.setNumThreads(1)
    seed = (
        {"source": 100, "target": 200, "shipped": 300, "arms": 400, "cameras": 500}[domain] * 1000
        + (900 if test else 0)
        + part
    )
    accept = {"source": accept_source, "target": accept_target, "shipped": None, "arms": None, "cameras": None}[domain]
    generator = FrameGenerator(configuration(domain, test, part), seed=seed)
    return render_crops(generator.__getitem__, count, accept=accept, arm=domain == "arms")


def render_set(domain: str, test: bool, count: int, workers: int) -> HandCrops:
    """A whole set, the same for any number of workers."""
    jobs = [(domain, test, part, min(1000, count - 1000 * part)) for part in range((count + 999) // 1000)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        parts = pool.map(render_part, jobs, chunksize=1)
    return HandCrops.join(parts)


def split_any_view(folder: Path) -> None:
    """The shipped set as two domains of any view: clean and SR300 sensors with smaller hands, a "
    "Kinect with larger ones."""
    crops = HandCrops.load(folder / "shipped-train.npz")
    # Every thousandth hand begins a part with the next sensor, of which the second is the Kinect.
    kinect = np.arange(len(crops)) // 1000 % 4 == 1
    size = np.linalg.norm(crops.joints_mm[:, 9] - crops.joints_mm[:, 0], axis=1) / 92.0
    rng = np.random.default_rng(0)
    chosen = {"source": np.flatnonzero(~kinect & (size < 1.02)), "target": np.flatnonzero(kinect & (size >= 1.0))}
    for domain, held in (("source", 500), ("target", 400)):
        order = rng.permutation(chosen[domain])
        crops.subset(order[:held]).save(folder / f"any-view-{domain}-test.npz")
        crops.subset(order[held:]).save(folder / f"any-view-{domain}-train.npz")


def turned_up(crops: HandCrops) -> NDArray[np.float32]:
    """(n, 63) joints from the middle knuckle, in mm of a hand of mean size; right hands that point up."""
    joints = crops.joints_mm.astype(np.float64) - crops.joints_mm[:, 9:10]
    joints[~crops.right, :, 0] *= -1
    joints /= (np.linalg.norm(joints[:, 0], axis=1) / 92.0)[:, None, None]
    angle = np.arctan2(-joints[:, 0, 0], joints[:, 0, 1])
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = joints[..., 0], joints[..., 1], joints[..., 2]
    return np.stack([cosine * x + sine * y, cosine * y - sine * x, z], axis=-1).reshape(len(joints), -1).astype("f4")


def pose_distances(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root of the mean square distance of the joints, mm, of each pair of poses."""
    squared = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    return np.asarray(np.sqrt(np.maximum(squared, 0) / 21), np.float32)


def split_families(folder: Path) -> None:
    """The source's and the target's hands near the poses that most hands of the source are near to, one by one."""
    sets = {
        f"{domain}-{part}": HandCrops.load(folder / f"{domain}-{part}.npz")
        for domain in ("source", "target")
        for part in ("train", "test")
    }
    source = turned_up(sets["source-train"])
    near = pose_distances(source[:2500], source) < FAMILY_MM
    centres, left = [], np.ones(len(source), bool)
    for _ in range(FAMILIES):
        centres.append(int((near & left).sum(axis=1).argmax()))
        left &= ~near[centres[-1]]
    for name, crops in sets.items():
        chosen = (pose_distances(source[centres], turned_up(crops)) < FAMILY_MM).any(axis=0)
        crops.subset(np.flatnonzero(chosen)).save(folder / f"family-{name}.npz")
        print(f"family-{name}: {np.count_nonzero(chosen)} of {len(crops)} hands", flush=True)


def main() -> None:
    """Render all sets that are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the frames")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for domain, test, count in (
        ("source", True, 500),
        ("source", False, 10000),
        ("target", True, 500),
        ("target", False, 3000),
        ("arms", True, 500),
        ("arms", False, 12000),
        ("cameras", True, 400),
        ("cameras", False, 6000),
        ("shipped", True, 1000),
        ("shipped", False, 24000),
    ):
        path = arguments.out / f"{domain}-{'test' if test else 'train'}.npz"
        if not path.exists():
            crops = render_set(domain, test, max(1, int(count * arguments.scale)), arguments.workers)
            crops.save(path, {"domain": domain, "test": test, "count": len(crops)})
        print(path, len(HandCrops.load(path)), flush=True)
    split_any_view(arguments.out)
    split_families(arguments.out)


if __name__ == "__main__":
    main()
