"""The predictor and its result: sizes, missing depth, devices, files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError, FrameWarning
from graspcut.frames.frame import Frame
from graspcut.runtime.contract import BackendError
from graspcut.runtime.model_folder import ModelFolderError, save_model_folder
from graspcut.runtime.torch_session import choose_device
from graspcut.segmentation.predictor import Segmenter
from graspcut.segmentation.result import Segmentation, labels_of
from tests.mini_network import mini_config, mini_network, save_mini_folder


class NearAndFar(nn.Module):
    """Hand nearer than 500 mm, object from there to 700 mm, background beyond."""

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        hand = (depth_mm < 500).float()
        background = (depth_mm >= 700).float()
        return 4.0 * torch.cat((background, hand, 1.0 - hand - background), dim=1)


class FocalLength(nn.Module):
    """Says the focal length it is given by the odds of hand over background: exp(focal length / 100)."""

    def forward(self, depth_mm: Tensor, focal_px: Tensor) -> Tensor:
        nothing = torch.zeros_like(depth_mm)
        return torch.cat((nothing, nothing + focal_px.reshape(-1, 1, 1, 1) / 100, nothing), dim=1)


def said_focal_px(result: Segmentation) -> float:
    """What `FocalLength` was given."""
    background, hand, _ = result.probabilities[:, 0, 0]
    return float(100 * np.log(hand / background))


def scene(height: int = 30, width: int = 41) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    depth = np.full((height, width), 900.0, np.float32)
    depth[2:8, 3:9] = 450.0
    depth[4:8, 20:30] = 600.0
    depth[5] = 0.0
    return depth


def test_labels_probabilities_and_missing_depth() -> None:
    depth = scene()
    result = Segmenter.from_network(NearAndFar(), device="cpu")(depth)
    assert result.labels.dtype == np.uint8 and result.labels.shape == depth.shape
    np.testing.assert_array_equal(result.hand, depth == 450.0)
    np.testing.assert_array_equal(result.object, depth == 600.0)
    assert (result.labels[5] == 0).all()  # NearAndFar itself calls depth 0 a hand
    np.testing.assert_array_equal(result.probabilities[:, 5], np.array([1, 0, 0])[:, None].repeat(41, 1))
    np.testing.assert_allclose(result.probabilities.sum(axis=0), 1.0, atol=1e-6)
    assert result.probabilities[1, 3, 4] == pytest.approx(np.exp(4) / (np.exp(4) + 2), rel=1e-5)


@pytest.mark.parametrize("shape", [(16, 16), (5, 9), (37, 53), (1, 40)])
def test_any_size_gives_the_same_size(shape: tuple[int, int]) -> None:
    result = Segmenter.from_network(NearAndFar(), device="cpu")(np.full(shape, 450, np.uint16))
    assert result.labels.shape == shape and (result.labels == 1).all()


def test_focal_length_comes_from_the_camera_or_the_width() -> None:
    segmenter = Segmenter.from_network(FocalLength(), device="cpu")
    camera = Camera(100.0, 110.0, 20.0, 15.0, 41, 30)
    assert said_focal_px(segmenter(scene())) == pytest.approx(0.745 * 41, rel=1e-4)
    assert said_focal_px(segmenter(scene(), camera)) == pytest.approx(105.0, rel=1e-4)
    from_frame = segmenter(Frame(scene(), camera))
    assert from_frame.camera == camera
    assert said_focal_px(from_frame) == pytest.approx(105.0, rel=1e-4)


def test_the_network_given_is_copied() -> None:
    network = mini_network(working_focal_px=24.0).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    segmenter = Segmenter.from_network(network, device="cpu")
    expected = segmenter(scene(48, 64)).probabilities
    assert network.training and all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.3)
    np.testing.assert_array_equal(segmenter(scene(48, 64)).probabilities, expected)


def test_batch_equals_single_frames() -> None:
    segmenter = Segmenter.from_network(mini_network(working_focal_px=24.0), device="cpu")
    frames = [scene(48, 64), np.roll(scene(48, 64), 7, axis=1)]
    for alone, together in zip([segmenter(frame) for frame in frames], segmenter.segment_batch(frames), strict=True):
        np.testing.assert_allclose(alone.probabilities, together.probabilities, atol=1e-5)
    assert segmenter.segment_batch([]) == []
    with pytest.raises(FrameError, match="expected one size and one camera"):
        segmenter.segment_batch([scene(48, 64), scene(48, 65)])


def test_same_scene_at_two_resolutions_gets_the_same_labels() -> None:
    network = mini_network(working_focal_px=24.0)
    small = scene(48, 64)
    large = small.repeat(2, axis=0).repeat(2, axis=1)
    camera = Camera(24.0, 24.0, 32.0, 24.0, 64, 48)
    at_small = Segmenter.from_network(network, device="cpu")(small, camera).probabilities
    at_large = Segmenter.from_network(network, device="cpu")(large, camera.resized(128, 96)).probabilities
    network.config = mini_config(working_focal_px=48.0)
    unscaled = Segmenter.from_network(network, device="cpu")(large, camera.resized(128, 96)).probabilities
    assert at_large.shape == unscaled.shape == (3, 96, 128)
    # The odd pixels are those that the network saw; their neighbours count a little too.
    difference = np.abs(at_large[:, 1::2, 1::2] - at_small).mean()
    assert difference < 0.2 * np.abs(unscaled[:, 1::2, 1::2] - at_small).mean()


def test_loaded_model_gives_the_probabilities_of_the_saved_one(tmp_path: Path) -> None:
    expected = Segmenter.from_network(mini_network(), device="cpu")(scene(48, 64))
    model_dir = save_mini_folder(tmp_path / "mini")
    loaded = Segmenter.load(model_dir, device="cpu")
    np.testing.assert_allclose(loaded(scene(48, 64)).probabilities, expected.probabilities, atol=1e-6)
    assert loaded.name == str(model_dir) and loaded.config["task"] == "segmentation"
    assert loaded.description == "PyTorch on cpu, fp32" and loaded.parallel_calls == 1


def test_models_for_something_else_are_refused(tmp_path: Path) -> None:
    save_model_folder(tmp_path / "other", {"task": "pose"}, {}, "")
    with pytest.raises(ModelFolderError, match="model for 'pose'"):
        Segmenter.load(tmp_path / "other", device="cpu")
    with pytest.raises(ModelFolderError, match="shipped"):
        Segmenter.load("no-such-model", device="cpu")


def test_devices_are_never_replaced_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(BackendError, match="0 CUDA devices"):
        choose_device("cuda")
    with pytest.raises(BackendError, match="unknown device 'gpu'"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(BackendError, match="'cuda:1' was asked for"):
        choose_device("cuda:1")


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((20, 20), np.uint8),
        np.zeros((20, 20, 3), np.uint16),
        np.full((20, 20), np.nan, np.float32),
        np.full((20, 20), -1.0, np.float32),
    ],
)
def test_what_is_no_depth_is_refused(wrong: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    with pytest.raises(FrameError):
        Segmenter.from_network(NearAndFar(), device="cpu")(wrong)


def test_python_is_warned_of_doubtful_distances_once_a_segmenter() -> None:
    far = 5 * scene()
    for segmenter in (Segmenter.from_network(NearAndFar(), device="cpu") for _ in range(2)):
        with pytest.warns(FrameWarning, match="no hand camera sees that") as told:
            for frame in (far, far + 1, far + 2):
                segmenter(frame)
        assert len(told) == 1 and told[0].filename == __file__


def test_camera_of_another_size_is_refused() -> None:
    with pytest.raises(FrameError, match="resized"):
        Segmenter.from_network(NearAndFar(), device="cpu")(scene(), Camera.sr300(640, 480))


def test_areas_count_pixels_and_square_millimetres() -> None:
    camera = Camera(100.0, 200.0, 20.0, 15.0, 41, 30)
    segmenter = Segmenter.from_network(NearAndFar(), device="cpu")
    areas = segmenter(scene(), camera).areas
    assert areas["hand"].pixels == 30
    assert areas["hand"].mm2 == pytest.approx(30 * 450.0**2 / (100.0 * 200.0))
    assert areas["object"].mm2 == pytest.approx(30 * 600.0**2 / (100.0 * 200.0))
    assert segmenter(scene()).areas["object"].mm2 is None


def test_result_survives_saving(tmp_path: Path) -> None:
    camera = Camera(100.0, 110.0, 20.0, 15.0, 41, 30, distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    result = Segmenter.from_network(NearAndFar(), device="cpu")(scene(), camera)
    result.save(tmp_path / "result.npz")
    loaded = Segmentation.load(tmp_path / "result.npz")
    np.testing.assert_array_equal(loaded.labels, result.labels)
    np.testing.assert_array_equal(loaded.depth_mm, result.depth_mm)
    np.testing.assert_allclose(loaded.probabilities, result.probabilities, atol=1e-3)
    assert loaded.camera == camera
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.npz"]
    with pytest.raises(FrameError, match=r"\.npz"):
        result.save(tmp_path / "result.png")
    whole = (tmp_path / "result.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FrameError, match="no saved segmentation"):
        Segmentation.load(tmp_path / "cut.npz")


def test_drawing_colours_hand_and_object_differently() -> None:
    result = Segmenter.from_network(NearAndFar(), device="cpu")(scene())
    picture = result.draw()
    assert picture.shape == (30, 41, 3) and picture.dtype == np.uint8
    assert picture[3, 5].astype(int).tolist() != picture[6, 25].astype(int).tolist()


def test_result_refuses_arrays_that_do_not_belong_together() -> None:
    with pytest.raises(FrameError, match="do not belong"):
        Segmentation(np.zeros((3, 4), np.uint8), np.zeros((3, 4, 4), np.float32), np.zeros((3, 4), np.float32))


def test_sensitivity_is_set_checked_and_kept_when_pickled(tmp_path: Path) -> None:
    segmenter = Segmenter.load(save_mini_folder(tmp_path / "mini"), device="cpu", backend="pytorch")
    assert segmenter.sensitivity == 1.0
    depth = scene(48, 64)
    found = {}
    for sensitivity in (0.2, 1.0, 5.0):
        segmenter.sensitivity = sensitivity
        result = segmenter(depth)
        found[sensitivity] = int((result.labels > 0).sum())
        np.testing.assert_array_equal(result.labels, labels_of(result.probabilities[np.newaxis], sensitivity)[0])
    assert found[0.2] < found[1.0] < found[5.0]
    assert pickle.loads(pickle.dumps(segmenter)).sensitivity == 5.0
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected a positive number"):
            segmenter.sensitivity = wrong


def test_graphs_of_the_first_version_follow_the_sensitivity_too() -> None:
    """They have no such input: their labels are made from the probabilities."""
    segmenter = Segmenter.load(device="cpu", threads=1, backend="onnxruntime")
    depth = scene(48, 64)
    segmenter.sensitivity = 0.01
    strict = segmenter(depth)
    np.testing.assert_array_equal(strict.labels, labels_of(strict.probabilities[np.newaxis], 0.01)[0])
    segmenter.sensitivity = 1.0
    np.testing.assert_array_equal(segmenter(depth).probabilities, strict.probabilities)
