"""Readers of public data sets on made files of their exact layout, and NYU's first test frame."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from graspcut.frames.errors import FrameError
from graspcut.pose.anatomy import NYU_JOINTS
from graspcut.pose.datasets import IcvlReader, MsraReader, NyuReader, read_msra_depth, read_nyu_depth
from graspcut.pose.evaluation import CAMERAS, read_joint_text
from graspcut.pose.joint_table import HandRow, read_joint_table, write_joint_table
from graspcut.pose.metrics import joints_from_uvd

NYU = Path(os.environ.get("GRASPCUT_DATA", "../shared/data")) / "nyu"


def write_packed(path: Path, depth_mm: np.ndarray) -> None:
    """NYU's packing: high byte in green, low byte in blue; OpenCV's order is blue, green, red."""
    red = np.full(depth_mm.shape, 7)  # noise that must not count
    packed = np.stack([depth_mm % 256, depth_mm // 256, red], axis=-1)
    cv2.imwrite(str(path), packed.astype(np.uint8))


def test_nyu(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    folder = tmp_path / "test"
    folder.mkdir()
    depth = np.arange(480 * 640).reshape(480, 640) % 2000
    write_packed(folder / "depth_1_0000002.png", depth)
    uvd = np.random.default_rng(0).uniform(100, 400, (3, 2, 36, 3))
    scipy_io.savemat(folder / "joint_data.mat", {"joint_uvd": uvd, "joint_xyz": -uvd})
    reader = NyuReader(folder)
    assert len(reader) == 2 and len(reader.joint_names) == 14 and reader.joint_names[0] == "little tip"
    found = reader[1]
    np.testing.assert_array_equal(found.frame.depth_mm, depth)
    np.testing.assert_allclose(found.joints_mm, joints_from_uvd(uvd[0, 1, list(NYU_JOINTS)], CAMERAS["nyu"]))
    np.testing.assert_allclose(found.centre_mm, joints_from_uvd(uvd[0, 1, 32], CAMERAS["nyu"]))
    assert found.cube_mm == 300.0 and found.frame.name == "depth_1_0000002"
    with pytest.raises(FrameError, match=r"depth_1_0000001\.png does not exist"):
        reader[0]
    with pytest.raises(IndexError):
        reader[2]
    with pytest.raises(FrameError, match="does not exist"):
        NyuReader(tmp_path)
    (tmp_path / "joint_data.mat").write_bytes(b"no mat file")
    with pytest.raises(FrameError, match="joint_uvd"):
        NyuReader(tmp_path)


@pytest.mark.skipif(not NYU.exists(), reason=f"no NYU frame in {NYU}")
def test_nyu_frame_one_has_its_joints_on_the_hand() -> None:
    depth = read_nyu_depth(NYU / "depth_1_0000001.png")
    uvd = read_joint_text(NYU / "nyu_test_groundtruth_label.txt")[0]
    at_joint = depth[np.rint(uvd[:, 1]).astype(int), np.rint(uvd[:, 0]).astype(int)]
    assert depth.shape == (480, 640)
    # Joints are inside the flesh, at most a palm's thickness behind the surface.
    assert (np.abs(at_joint - uvd[:, 2]) < 40).sum() >= 12


def test_icvl(tmp_path: Path) -> None:
    depth = np.full((240, 320), 350, np.uint16)
    (tmp_path / "Depth" / "test_seq_1").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "Depth" / "test_seq_1" / "image_0001.png"), depth)
    uvd = np.arange(48).reshape(16, 3) + 100.0
    numbers = " ".join(f"{value:.4f}" for value in uvd.ravel())
    labels = tmp_path / "test_seq_1.txt"
    labels.write_text(f"test_seq_1/image_0000.png {numbers} \ntest_seq_1/image_0001.png {numbers}\n\n")
    reader = IcvlReader(labels)
    assert len(reader) == 2 and len(reader.joint_names) == 16
    found = reader[1]
    np.testing.assert_allclose(found.joints_mm[0], [(100 - 160) * 102 / 241.42, (101 - 120) * 102 / 241.42, 102])
    assert found.frame.depth_mm[0, 0] == 350 and found.frame.name == "test_seq_1/image_0001"
    with pytest.raises(FrameError, match=r"image_0000\.png does not exist"):
        reader[0]
    labels.write_text("image.png 1 2 3\n")
    with pytest.raises(FrameError, match="line 1: 3 numbers"):
        IcvlReader(labels)


def test_msra(tmp_path: Path) -> None:
    window = np.arange(12, dtype=np.float32).reshape(3, 4) + 300
    data = struct.pack("<6i", 320, 240, 100, 50, 104, 53) + window.tobytes()
    (tmp_path / "000000_depth.bin").write_bytes(data)
    joints = np.random.default_rng(1).uniform(-100, 100, (1, 21, 3))
    joints[..., 2] -= 400
    (tmp_path / "joint.txt").write_text("1\n" + " ".join(f"{value:.6f}" for value in joints.ravel()) + "\n")
    reader = MsraReader(tmp_path)
    found = reader[0]
    np.testing.assert_allclose(found.joints_mm, joints[0] * [1, -1, -1], atol=1e-5)
    assert (found.joints_mm[:, 2] > 0).all() and reader.joint_names[5] == "middle mcp"
    np.testing.assert_allclose(found.centre_mm, found.joints_mm[5])
    assert found.frame.depth_mm.shape == (240, 320) and found.frame.depth_mm[52, 103] == 311
    assert np.count_nonzero(found.frame.depth_mm) == 12
    (tmp_path / "000000_depth.bin").write_bytes(data[:-4])
    with pytest.raises(FrameError, match="damaged"):
        read_msra_depth(tmp_path / "000000_depth.bin")
    (tmp_path / "joint.txt").write_text("2\n1 2 3\n")
    with pytest.raises(FrameError, match="63 numbers"):
        MsraReader(tmp_path)


def test_joint_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    joints = rng.uniform(-100, 600, (21, 3))
    joints[4] = np.nan
    row = HandRow("000001", 1, "left", joints, rng.random(21), rng.random(21) < 0.5)
    path = tmp_path / "joints.csv"
    write_joint_table(path, [row])
    (found,) = read_joint_table(path)
    assert (found.frame, found.hand, found.handedness) == ("000001", 1, "left")
    np.testing.assert_allclose(found.joints_mm, joints, atol=0.006)
    np.testing.assert_array_equal(found.visible, row.visible)
    assert "nan" not in path.read_text()
    path.write_text("frame,joint,x_mm,y_mm,z_mm\na,wrist,1,2,3\nb,wrist,4,5,\n")
    first, second = read_joint_table(path)
    assert first.joints_mm[0].tolist() == [1, 2, 3] and np.isnan(first.joints_mm[1:]).all()
    assert np.isnan(second.joints_mm[0, 2])
    for text, said in (
        ("frame,x_mm\n", "joint, y_mm, z_mm is missing"),
        ("frame,joint,x_mm,y_mm,z_mm\na,elbow,1,2,3\n", "'elbow' is unknown"),
        ("frame,joint,x_mm,y_mm,z_mm\na,wrist,one,2,3\n", "line 2"),
    ):
        path.write_text(text)
        with pytest.raises(FrameError, match=said):
            read_joint_table(path)
