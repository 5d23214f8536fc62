"""Skinned hands of many people, for `graspcut synth --hand-mesh FOLDER`, out of the package `anny`.

    pip install -c constraints.txt -e '.[people]'
    python -m benchmarks.hand_shapes runs/hand-shapes --count 24 --sheet runs/hand-shapes.png

Anny (Apache-2.0, NAVER Corp.; its shapes are MakeHuman's, CC0) has people of all ages, builds and sizes on one
skeleton. Every file is the right hand of one, at rest, under the 25 joint names of WebXR. Neither the package nor the
files are part of the tree, and nothing but this script needs them.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graspcut.draw import contact_sheet, overlay, write_image_atomically
from graspcut.synth.generator import FrameGenerator, SynthConfig
from graspcut.synth.hands.glb import SkinnedMesh, write_skinned_mesh
from graspcut.synth.hands.skinned import JOINT_NAMES, METACARPAL_NAMES
from graspcut.synth.scenes.config import SceneConfig

Array = NDArray[np.float64]
_FINGERS = ("index-finger", "middle-finger", "ring-finger", "pinky-finger")
# Anny's bone -> WebXR's joint at its beginning.
NAMES = {
    "wrist.R": "wrist",
    "finger1-1.R": "thumb-metacarpal",
    "finger1-2.R": "thumb-phalanx-proximal",
    "finger1-3.R": "thumb-phalanx-distal",
    **{f"metacarpal{n}.R": f"{finger}-metacarpal" for n, finger in enumerate(_FINGERS, start=1)},
    **{
        f"finger{n}-{bone}.R": f"{finger}-phalanx-{kind}"
        for n, finger in enumerate(_FINGERS, start=2)
        for bone, kind in enumerate(("proximal", "intermediate", "distal"), start=1)
    },
}
_TIP_INSIDE_M = 0.005  # the joint at a finger's end lies so far within its skin


def skinned_hand(
    vertices: Array, triangles: NDArray[Any], heads: dict[str, Array], weights: dict[str, Array]
) -> SkinnedMesh:
    """A hand with WebXR's joints, whose y axes point out of the back of the hand.

    Args:
        vertices: (n, 3) metres.
        triangles: (m, 3).
        heads: where each of Anny's bones begins (3,), metres.
        weights: of each of Anny's bones (n,).
    """
    names = (*JOINT_NAMES, *METACARPAL_NAMES)
    places = {NAMES[bone]: place for bone, place in heads.items() if bone in NAMES}
    shares = {name: np.zeros(len(vertices)) for name in names}
    for bone, share in weights.items():
        shares[NAMES.get(bone, "wrist")] += share
    for finger in ("thumb", *_FINGERS):
        last = f"{finger}-phalanx-distal"
        before = places["thumb-phalanx-proximal" if finger == "thumb" else f"{finger}-phalanx-intermediate"]
        along = _unit(places[last] - before)
        reach = ((vertices - places[last]) @ along)[shares[last] > 0.5].max()
        places[f"{finger}-tip"] = places[last] + along * (reach - _TIP_INSIDE_M)
    rest = np.stack([_rest(name, places) for name in names])
    table = np.stack([shares[name] for name in names], axis=1)
    joints = np.argsort(-table, axis=1)[:, :4]
    strongest = np.take_along_axis(table, joints, axis=1)
    strongest /= strongest.sum(axis=1, keepdims=True)
    return SkinnedMesh(vertices, triangles.astype(np.int32), joints, strongest, names, rest)


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def _rest(name: str, places: dict[str, Array]) -> Array:
    """From a joint's own coordinates to those of the vertices: -z along its bone, y out of the hand's back."""
    finger = name.removesuffix("-tip").partition("-phalanx")[0].removesuffix("-metacarpal")
    if name == "wrist":
        along = places["middle-finger-phalanx-proximal"] - places["wrist"]
    else:
        chain = [joint for joint in (*METACARPAL_NAMES, *JOINT_NAMES) if joint.startswith(finger)]
        at = min(chain.index(name), len(chain) - 2)  # a tip goes on as the bone before it
        along = places[chain[at + 1]] - places[chain[at]]
    if finger == "thumb":
        # It bends in a plane of its own.
        first = places["thumb-phalanx-proximal"] - places["thumb-metacarpal"]
        second = places["thumb-phalanx-distal"] - places["thumb-phalanx-proximal"]
        across = np.cross(first, second)
    else:
        # Of a right hand, from the little finger to the index finger.
        across = places["index-finger-phalanx-proximal"] - places["pinky-finger-phalanx-proximal"]
    z = -_unit(along)
    # Bending turns a bone about this axis towards the palm, so that the back is where it came from.
    y = _unit(np.cross(along, across))
    x = np.cross(y, z)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack([x, y, z], axis=1), places[name]
    return matrix


def hands_of_people(count: int, seed: int) -> list[SkinnedMesh]:
    """Hands of people drawn at random: both sexes, children too, of any build."""
    import anny

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = anny.Anny(rig="anny-hand.R", topology="hand.R", skinning_method="lbs")
    rng = np.random.default_rng(seed)
    dense = model.dense_vertex_bone_weights.numpy().astype(np.float64)
    weights = {bone: dense[:, number] for number, bone in enumerate(model.bone_labels)}
    hands = []
    for _ in range(count):
        person = {label: torch.tensor([float(rng.uniform(0, 1))]) for label in model.phenotype_labels}
        with torch.no_grad():
            found = model(phenotype_kwargs=person)
        places = found["rest_bone_heads"][0].numpy().astype(np.float64)
        heads = dict(zip(model.bone_labels, places, strict=True))
        vertices = found["rest_vertices"][0].numpy().astype(np.float64)
        hands.append(skinned_hand(vertices, model.faces.numpy(), heads, weights))
    return hands


def sheet(folder: Path) -> NDArray[np.uint8]:
    """Two rendered hands with each mesh."""
    scene = SceneConfig(
        room=0, people_at_table=0, object_only=0, nothing=0, own_hand=1, background_none=1, farthest_mm=400.0
    )
    images, titles = [], []
    for path in sorted(folder.glob("*.glb")):
        synth = SynthConfig(240, 180, sensor="ideal", colour=False, scene=scene, hand_mesh=str(path))
        for seed in (3, 4):
            frame = FrameGenerator(synth, seed)[0]
            images.append(overlay(frame.frame.depth_mm, frame.labels))
            titles.append(path.stem)
    return contact_sheet(images, 8, titles)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="picture of rendered hands with each")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for number, hand in enumerate(hands_of_people(options.count, options.seed)):
        write_skinned_mesh(options.folder / f"hand-{number:03d}.glb", hand)
    if options.sheet is not None:
        write_image_atomically(options.sheet, sheet(options.folder))
    print(options.folder)


if __name__ == "__main__":
    main()
