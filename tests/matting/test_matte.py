"""`graspcut.Matter`, its result, and `graspcut matte` and `graspcut foreground`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import graspcut
from graspcut.cli import main
from graspcut.cli.matte import parse_background
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_colour, read_image, write_image_atomically
from graspcut.frames.recording import RecordingWriter
from graspcut.matting.augmentation import composite
from graspcut.matting.classical import classical_alpha, separate_foreground
from graspcut.matting.foreground import estimate_foreground
from graspcut.matting.images import read_alpha
from graspcut.matting.method import METHOD
from graspcut.matting.models import model_config
from graspcut.matting.models.lsa_matting_small import LSAMattingSmall, LSAMattingSmallConfig
from graspcut.matting.procedural.source import ProceduralMattes
from graspcut.matting.refinement_config import RefinementConfig
from graspcut.matting.result import Matte, filled
from graspcut.matting.trimap import trimap_from_alpha
from graspcut.runtime.contract import BackendError
from graspcut.runtime.export import export_model
from graspcut.runtime.model_folder import save_model_folder
from graspcut.scene.mattes import colour_at_depth, frame_trimap, matte_frame

pytest.importorskip("pymatting")


def scene(height: int = 60, width: int = 80) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """Image of a soft orange disc over blue, its alpha and trimap."""
    y, x = np.mgrid[0:height, 0:width]
    alpha = np.clip(18 - np.hypot(y - height / 2, x - width / 2), 0, 4).astype(np.float32) / 4
    foreground, background = np.array([0.9, 0.6, 0.2]), np.array([0.1, 0.2, 0.7])
    noise = 0.02 * np.random.default_rng(0).standard_normal((height, width, 3))
    image = alpha[..., None] * foreground + (1 - alpha[..., None]) * background + noise
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8), alpha, trimap_from_alpha(alpha, 3, 3)


def run(arguments: list[str]) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


def test_a_network_that_begins_with_closed_form_is_given_its_matte(tmp_path: Path) -> None:
    image, _, trimap = scene()
    config = LSAMattingSmallConfig((8, 8, 8, 8, 8), (0, 0, 0, 0, 0), (8, 8, 8, 8, 8), 8, "closed-form", 32)
    network = LSAMattingSmall(config).eval()
    folder = save_model_folder(
        tmp_path / "model", {"task": "matting", "model": model_config(network), "labels": []}, network.state_dict(), ""
    )
    export_model(METHOD, folder, tmp_path / "file")
    expected = classical_alpha(image, trimap)
    loaded = graspcut.Matter.load(folder, device="cpu", backend="pytorch")
    for matter in (
        graspcut.Matter.from_network(network, device="cpu"),
        loaded,
        graspcut.Matter.load(tmp_path / "file" / "model.onnx"),
    ):
        assert matter.begins_with_closed_form
        np.testing.assert_allclose(matter(image, trimap).alpha, expected, atol=0.02)
    refined = loaded(image, trimap, refine=RefinementConfig(steps=0)).alpha
    np.testing.assert_allclose(refined, expected, atol=0.02)


@pytest.mark.parametrize("method", ["closed-form", "knn"])
def test_classical_methods_find_a_soft_disc(method: str) -> None:
    image, alpha, trimap = scene()
    matter = graspcut.Matter.load(method)
    matte = matter(image, trimap)
    assert np.abs(matte.alpha - alpha).mean() < 0.01
    assert (matte.alpha[trimap == 0] == 0).all() and (matte.alpha[trimap == 255] == 1).all()
    assert matte.alpha.dtype == np.float32 and "pymatting" in matter.description
    np.testing.assert_array_equal(matte.alpha, classical_alpha(image, trimap, method))  # type: ignore[arg-type]


def test_classical_methods_on_trimaps_without_a_side() -> None:
    image, _, trimap = scene()
    only_background = np.where(trimap == 255, np.uint8(128), trimap)
    assert classical_alpha(image, only_background).max() == 0.0
    assert classical_alpha(image, np.full_like(trimap, 255)).min() == 1.0
    with pytest.raises(ValueError, match="closed-form, knn"):
        classical_alpha(image, trimap, "poisson")  # type: ignore[arg-type]


def test_a_network_runs_on_any_size_in_tiles_augmented_and_not_refined_without_a_folder() -> None:
    network = LSAMattingSmall(LSAMattingSmallConfig((8, 8, 8, 8, 8), (0, 0, 0, 0, 0), (8, 8, 8, 8, 8), 8)).eval()
    matter = graspcut.Matter.from_network(network, device="cpu")
    image, alpha, trimap = scene(90, 150)
    for augment in (False, True):
        matte = matter(image, trimap, augment=augment)
        # Untrained it is the guess from nearby colours.
        assert np.abs(matte.alpha - alpha).mean() < 0.02
        assert (matte.alpha[trimap == 255] == 1).all()
    with pytest.raises(BackendError, match="model folder"):
        matter(image, trimap, refine=RefinementConfig(steps=1))
    with pytest.raises(FrameError, match="trimap"):
        matter(image, trimap[:5])


def test_result_is_saved_and_put_over_things(tmp_path: Path) -> None:
    image, alpha, trimap = scene()
    matte = Matte(image, trimap, alpha)
    written = matte.save(tmp_path, "disc", over=(255, 255, 255))
    assert [path.name for path in written][-1] == "disc_alpha.png"
    np.testing.assert_allclose(read_alpha(tmp_path / "disc_alpha.png"), alpha, atol=0.51 / 255)
    rgba = read_image(tmp_path / "disc_rgba.png")
    np.testing.assert_array_equal(rgba[..., :3], read_colour(tmp_path / "disc_foreground.png"))
    np.testing.assert_allclose(rgba[..., 3] / 255.0, alpha, atol=0.51 / 255)
    over = read_colour(tmp_path / "disc_over.png")
    assert (over[alpha == 0] == 255).all()
    # Blue of the background is gone from the rim.
    rim = (alpha > 0.4) & (alpha < 0.6)
    assert matte.foreground[rim][:, 2].mean() < 0.35 < image[rim][:, 2].mean() / 255.0
    assert matte.draw().shape == image.shape
    np.testing.assert_allclose(matte.foreground, separate_foreground(image, alpha), atol=1e-6)
    assert filled(np.zeros((10, 40, 3), np.uint8), 30, 20).shape == (30, 20, 3)


def test_command_on_one_image(tmp_path: Path) -> None:
    image, alpha, trimap = scene()
    write_image_atomically(tmp_path / "photo.png", image)
    write_image_atomically(tmp_path / "marks.png", trimap)
    out = tmp_path / "out"
    inputs = [str(tmp_path / "photo.png"), str(tmp_path / "marks.png")]
    assert run(["matte", *inputs, "--out", str(out), "--over", "#ffffff", "--method", "knn"]) == 0
    assert {path.name for path in out.iterdir()} == {
        *(f"photo_{part}.png" for part in ("alpha", "foreground", "rgba", "over")),
        "summary.json",
    }
    assert np.abs(read_alpha(out / "photo_alpha.png") - alpha).mean() < 0.01
    assert json.loads((out / "summary.json").read_text())["settings"]["method"] == "knn"
    assert run(["matte", *inputs, "--out", str(out), "--method", "knn", "--model", "x"]) == 2
    assert run(["matte", inputs[0], str(tmp_path), "--out", str(out)]) == 1


def test_command_on_folders_goes_on_past_a_bad_image_and_does_not_repeat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, _, trimap = scene()
    for folder in ("images", "trimaps"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b", "c"):
        write_image_atomically(tmp_path / "images" / f"{name}.png", image)
    write_image_atomically(tmp_path / "trimaps" / "a.png", trimap)
    write_image_atomically(tmp_path / "trimaps" / "c.png", trimap[:10])
    out = tmp_path / "out"
    command = ["matte", str(tmp_path / "images"), str(tmp_path / "trimaps"), "--out", str(out)]
    assert run(command) == 1
    said = capsys.readouterr()
    assert "1 matte(s)" in said.out and "b: " in said.err and "c: " in said.err
    before = (out / "a_alpha.png").stat().st_mtime_ns
    write_image_atomically(tmp_path / "trimaps" / "b.png", trimap)
    write_image_atomically(tmp_path / "trimaps" / "c.png", trimap)
    assert run(command) == 0
    assert "2 matte(s), 1 were there already" in capsys.readouterr().out
    assert (out / "a_alpha.png").stat().st_mtime_ns == before


def test_command_foreground(tmp_path: Path) -> None:
    image, alpha, _ = scene()
    write_image_atomically(tmp_path / "photo.png", image)
    write_image_atomically(tmp_path / "alpha.png", np.rint(alpha * 255).astype(np.uint8))
    inputs = [str(tmp_path / "photo.png"), str(tmp_path / "alpha.png")]
    assert run(["foreground", *inputs, "--out", str(tmp_path / "f.png")]) == 0
    expected = estimate_foreground(image, read_alpha(tmp_path / "alpha.png"))
    np.testing.assert_allclose(read_colour(tmp_path / "f.png") / 255.0, expected, atol=0.51 / 255)
    assert run(["foreground", *inputs, "--out", str(tmp_path / "s.png"), "--separate"]) == 0
    assert (tmp_path / "s.png").read_bytes() != (tmp_path / "f.png").read_bytes()


def depth_scene() -> tuple[Frame, NDArray[np.float32]]:
    """A frame with colour in which the disc is near, and its alpha."""
    image, alpha, _ = scene(120, 160)
    depth = np.where(alpha > 0.5, 500.0, 900.0).astype(np.float32)
    return Frame(depth, Camera.sr300(160, 120), image), alpha


class _DiscSegmentation:
    """Labels that miss the edge by a pixel or two, as segmentations do."""

    def __init__(self, depth_mm: NDArray[np.float32]) -> None:
        near = (depth_mm < 700).astype(np.uint8)
        self.labels: NDArray[np.uint8] = np.asarray(cv2.erode(near, np.ones((3, 3))), dtype=np.uint8)
        sure = np.where(self.labels == 1, 0.97, 0.02).astype(np.float32)
        self.probabilities = np.stack((1 - sure, sure, np.zeros_like(sure)))


def test_frame_without_trimap() -> None:
    frame, alpha = depth_scene()
    segment = _DiscSegmentation
    trimap = frame_trimap(frame, segment(frame.depth_mm))
    assert (alpha[trimap == 255] > 0.8).all() and (alpha[trimap == 0] < 0.2).all()
    assert 0.01 < (trimap == 128).mean() < 0.3
    matte = matte_frame(frame, lambda given: segment(given.depth_mm), graspcut.Matter.load())
    hard = segment(frame.depth_mm).labels.astype(np.float32)
    assert np.abs(matte.alpha - alpha).sum() < 0.5 * np.abs(hard - alpha).sum()
    with pytest.raises(FrameError, match="without colour"):
        matte_frame(Frame(frame.depth_mm), lambda given: segment(given.depth_mm), graspcut.Matter.load())


@pytest.mark.parametrize("own_camera", [False, True])
def test_colour_counts_where_depth_has_holes(own_camera: bool) -> None:
    frame, alpha = depth_scene()
    assert frame.camera is not None and frame.colour is not None
    depth, colour_camera, colour = frame.depth_mm.copy(), None, frame.colour
    depth[(alpha > 0) & (alpha < 1)] = 0  # depth cameras lose the rims of things
    if own_camera:
        # A colour camera to the side, in which things at the disc's depth lie four pixels further right.
        colour_camera = replace(frame.camera, translation_mm=(4 * 500.0 / frame.camera.fx, 0.0, 0.0))
        colour = np.roll(colour, 4, axis=1)
    seen = Frame(depth, frame.camera, colour, colour_camera)
    trimap = frame_trimap(seen, _DiscSegmentation(frame.depth_mm))
    at_depth = colour_at_depth(seen, trimap).astype(int)
    near = trimap != 0
    assert np.abs(at_depth - frame.colour)[near].mean() < 4
    matte = matte_frame(seen, lambda _: _DiscSegmentation(frame.depth_mm), graspcut.Matter.load())
    assert np.abs(matte.alpha - alpha).mean() < 0.01


def test_command_on_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame, _ = depth_scene()
    with RecordingWriter(tmp_path / "recording", frame.camera, 1.0) as writer:
        writer.append(frame.depth_mm.astype(np.uint16), frame.colour)
    out = tmp_path / "out"
    assert run(["matte", str(tmp_path / "recording"), "--out", str(out), "--keep", "hand"]) == 0
    assert "1 matte(s)" in capsys.readouterr().out
    assert len(list(out.glob("*_alpha.png"))) == len(list(out.glob("*_rgba.png"))) == 1
    assert run(["matte", str(tmp_path / "recording"), "--out", str(out), "--keep", "hand"]) == 0
    assert "1 were there already" in capsys.readouterr().out


def test_backgrounds_by_name_number_and_file(tmp_path: Path) -> None:
    assert parse_background("white") == (255, 255, 255)
    assert parse_background("#00ff10") == (0, 255, 16)
    write_image_atomically(tmp_path / "b.png", np.zeros((4, 5, 3), np.uint8))
    assert parse_background(str(tmp_path / "b.png")).shape == (4, 5, 3)
    with pytest.raises(FrameError, match="no colour"):
        parse_background("nothing.png")


def test_the_shipped_network_is_the_default_and_better_than_closed_form_on_drawn_images() -> None:
    matter = graspcut.Matter.load()
    assert matter.name == "lsa-matting-on-closed-form" and matter.begins_with_closed_form
    closed_form = graspcut.Matter.load("closed-form")
    errors = []
    for index in range(4):
        source = ProceduralMattes(192, 192, 31)
        drawn = source.foreground(index)
        image = composite(drawn.colours, drawn.alpha, source.background(index))
        picture = np.rint(255 * image).astype(np.uint8)
        trimap = trimap_from_alpha(drawn.alpha, 12, 12)
        unknown = trimap == 128
        found = [np.abs(one(picture, trimap).alpha - drawn.alpha)[unknown].mean() for one in (matter, closed_form)]
        errors.append(found)
        # A bounded change cannot make it much worse.
        assert found[0] < found[1] + 0.05
    assert np.mean([found[0] for found in errors]) < np.mean([found[1] for found in errors]), errors
