"""Joint errors and part accuracy on hand-made cases, and the checked numbers of published predictions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graspcut.frames.errors import FrameError
from graspcut.pose.evaluation import CAMERAS, evaluate_joint_files, find_camera, read_joint_text
from graspcut.pose.metrics import add_depth_from_frame, joint_errors, joints_from_uvd, part_counts

NYU = Path(os.environ.get("GRASPCUT_DATA", "../shared/data")) / "nyu"


def test_errors_of_two_frames() -> None:
    truth = np.zeros((2, 2, 3))
    predicted = np.array([[[3.0, 4.0, 0.0], [0.0, 0.0, 2.0]], [[0.0, 0.0, 0.0], [30.0, 0.0, 40.0]]])
    errors = joint_errors(predicted, truth)
    assert errors.mean_3d_mm == (5 + 2 + 0 + 50) / 4
    assert errors.mean_2d_mm == (5 + 0 + 0 + 30) / 4
    # The worst joint decides: 5 mm in the first frame, 50 in the second; the means would be 3.5 and 25.
    np.testing.assert_array_equal(
        errors.fraction_within([0, 4.9, 5, 25, 49.9, 50, np.inf]), [0, 0, 0.5, 0.5, 0.5, 1, 1]
    )


def test_unknown_and_missing_joints() -> None:
    truth = np.zeros((3, 2, 3))
    truth[0, 1] = truth[2] = np.nan
    predicted = np.ones((3, 2, 3))
    predicted[1, 0] = np.nan
    errors = joint_errors(predicted, truth)
    assert errors.mean_3d_mm == pytest.approx(np.sqrt(3))
    assert errors.missing.tolist() == [[False, False], [True, False], [False, False]]
    # The third frame has no truth and does not count; the second can never succeed.
    np.testing.assert_array_equal(errors.fraction_within([1.0, 2.0, 1e9]), [0.0, 0.5, 0.5])
    with pytest.raises(ValueError, match="same frames"):
        joint_errors(predicted[:2], truth)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_curve_rises(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = joint_errors(rng.normal(0, 20, (7, 5, 3)), rng.normal(0, 20, (7, 5, 3)))
    curve = errors.fraction_within(np.arange(0, 300, 5))
    assert (np.diff(curve) >= 0).all() and curve[0] == 0.0 and errors.fraction_within([np.inf])[0] == 1.0


def test_depth_for_two_dimensional_methods() -> None:
    depth = np.array([[0.0, 500.0, 520.0], [900.0, 510.0, 0.0]])
    hand = np.array([[True, True, True], [False, True, True]])
    uvd = add_depth_from_frame([[1.2, 0.1], [0.0, 1.0], [0.0, 0.0], [7.0, 7.0]], depth, hand)
    np.testing.assert_array_equal(uvd[:, 2], [500.0, 510.0, 510.0, 510.0])


def test_part_counts() -> None:
    parts = np.array([[1, 1, 1, 2], [2, 0, 21, 255]], np.uint8)
    predicted = np.array([[1, 1, 0, 1], [2, 5, 3, 20]], np.uint8)
    counts = part_counts(predicted, parts)
    assert counts.per_pixel == 3 / 5
    assert counts.per_class == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert counts.confusion[0, 20] == 1 and counts.confusion[1, 0] == 1 and counts.confusion.sum() == 5
    assert (counts + counts).per_pixel == counts.per_pixel
    assert np.isnan(part_counts(parts * 0, parts * 0).per_pixel)


def test_text_files(tmp_path: Path) -> None:
    truth, predicted = tmp_path / "truth.txt", tmp_path / "predicted.txt"
    truth.write_text("320 240 588.03 620 240 588.03\n320 240 588.03 nan nan nan\n")
    predicted.write_text("330 240 588.03 620 240 588.03 \n320 240 598.03 1 2 3 \n")
    errors = evaluate_joint_files([predicted], truth, CAMERAS["nyu"]).errors["predicted"]
    np.testing.assert_allclose(errors.error_3d_mm, [[10.0, 0.0], [10.0, np.nan]], atol=1e-9)
    predicted.write_text("1 2 3\n4 5 6\n")
    with pytest.raises(FrameError, match="2 lines of 1 joints"):
        evaluate_joint_files([predicted], truth, CAMERAS["nyu"])
    for text, said in (
        ("1 2 3 4\n", "three numbers"),
        ("", "0 line"),
        ("1 2 x\n", "Expected numbers"),
        ("1 2 3\n1 2\n", "as many on every line"),
    ):
        predicted.write_text(text)
        with pytest.raises(FrameError, match=said):
            read_joint_text(predicted)
    with pytest.raises(ValueError, match="nyu, icvl, msra"):
        find_camera("kinect5")


@pytest.mark.skipif(not NYU.exists(), reason=f"no NYU predictions in {NYU}")
def test_published_predictions() -> None:
    """Independent numbers: joint order, the sign of y, the packing of files and the curve must all be right."""
    checked = {
        "CVWW15_NYU_Prior": (20.750, 16.520, (0.1627, 0.4924, 0.9119)),
        "CVWW15_NYU_Prior-Refinement": (19.726, 14.768, (0.2365, 0.5202, 0.8815)),
        "ICCVW17_NYU_DeepPrior++": (12.238, 9.774, (0.4472, 0.8353, 0.9795)),
    }
    files = [NYU / "results" / f"{name}.txt" for name in checked]
    report = evaluate_joint_files(files, NYU / "nyu_test_groundtruth_label.txt", CAMERAS["nyu"])
    for name, (in_3d, in_2d, within) in checked.items():
        errors = report.errors[name]
        assert round(errors.mean_3d_mm, 3) == in_3d and round(errors.mean_2d_mm, 3) == in_2d
        np.testing.assert_allclose(errors.fraction_within([20, 40, 80]), within, atol=5e-5)
        assert f"{in_3d:.3f}" in report.table()


def test_tables_of_joints(tmp_path: Path) -> None:
    truth, predicted = tmp_path / "truth.csv", tmp_path / "found.csv"
    truth.write_text("frame,joint,x_mm,y_mm,z_mm\na,wrist,0,0,500\na,thumb_tip,10,0,500\nb,wrist,0,0,500\n")
    predicted.write_text("frame,joint,x_mm,y_mm,z_mm\na,wrist,3,4,500\na,thumb_tip,,,\n")
    errors = evaluate_joint_files([predicted], truth, CAMERAS["nyu"]).errors["found"]
    assert errors.mean_3d_mm == 5.0 and errors.missing.sum() == 2
    assert errors.fraction_within([100.0])[0] == 0.0
    predicted.write_text("frame,joint,x_mm,y_mm,z_mm\nz,wrist,3,4,500\n")
    with pytest.raises(FrameError, match="in common"):
        evaluate_joint_files([predicted], truth, CAMERAS["nyu"])


def test_y_points_down() -> None:
    np.testing.assert_allclose(joints_from_uvd([320.0, 250.0, 587.07], CAMERAS["nyu"]), [0.0, 10.0, 587.07])
