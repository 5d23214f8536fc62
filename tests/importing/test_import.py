"""`graspcut import`: every kind of file, made here in its exact layout; counts, gaps, refusals."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.cli import main
from graspcut.frames.camera import Camera
from graspcut.frames.errors import FrameError
from graspcut.frames.images import encode_image, write_image_atomically
from graspcut.frames.importing.azure_kinect import open_azure_kinect
from graspcut.frames.importing.image_pairs import open_image_pairs
from graspcut.frames.importing.record3d import open_record3d
from graspcut.frames.importing.ros import open_ros
from graspcut.frames.importing.run import gaps_in_time
from graspcut.frames.importing.stream import brown_conrady, metres_to_raw, with_fitted_distortion
from graspcut.frames.recording import Recording

WIDTH, HEIGHT = 32, 24


def depth_image(number: int) -> NDArray[np.uint16]:
    return (np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) + 500 + number).astype(np.uint16)


def colour_image(number: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[: height // 2, :, 1], image[..., 2] = 200, 120, 10 * number
    return image


def colour_of(recording: Recording, number: int) -> NDArray[np.uint8]:
    colour = recording[number].colour
    assert colour is not None
    return colour


def import_(*arguments: object) -> int:
    with pytest.raises(SystemExit) as end:
        main(["import", *map(str, arguments)])
    return int(end.value.code or 0)


def write_pairs(folder: Path, count: int = 12, missing: int | None = None) -> tuple[Path, Path]:
    depth, colour = folder / "depth", folder / "colour"
    depth.mkdir()
    colour.mkdir()
    for number in range(count):
        write_image_atomically(depth / f"depth_{number}.png", depth_image(number))
        if number != missing:
            write_image_atomically(colour / f"rgb-{number:04d}.png", colour_image(number))
    return depth, colour


def test_image_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    depth, colour = write_pairs(tmp_path, missing=3)
    options = ["--colour", colour, "--registered", "--depth-unit-mm", "0.5", "--focal-px", "40", "--frames-per-s", "30"]
    assert import_(depth, *options, "--out", tmp_path / "rec") == 0
    printed = capsys.readouterr().out
    assert "12 (the source has 12)" in printed and "1 depth image(s) have no colour" in printed
    recording = Recording(tmp_path / "rec")
    assert recording.check() == [] and recording.depth_unit_mm == 0.5
    assert recording.camera is not None and recording.camera.fx == 40 and recording.colour_camera is None
    # Frame 10 comes after frame 2 and 9, not between 1 and 2.
    for number in (0, 2, 9, 10, 11):
        assert np.array_equal(recording.read_raw_depth(number), depth_image(number))
        assert np.array_equal(colour_of(recording, number), colour_image(number))
    assert recording[3].colour is None and recording[6].timestamp_s == pytest.approx(0.2)


def test_image_pairs_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    depth, colour = write_pairs(tmp_path, 3)
    out = ["--out", tmp_path / "rec"]
    assert import_(depth, "--colour", colour, "--registered", *out) == 1
    assert "--depth-unit-mm" in capsys.readouterr().err
    assert import_(depth, "--colour", colour, "--depth-unit-mm", "1", *out) == 1
    assert "--registered" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    write_image_atomically(tmp_path / "other" / "a.png", colour_image(0))
    with pytest.raises(FrameError, match="do not pair up"):
        open_image_pairs(depth, tmp_path / "other", depth_unit_mm=1.0, registered=True)
    (depth / "depth_1.png").write_bytes(b"damaged")
    assert import_(depth, "--depth-unit-mm", "1", "--out", tmp_path / "damaged") == 1
    assert "depth_1.png" in capsys.readouterr().err
    assert len(Recording(tmp_path / "damaged")) == 2


def test_cameras_of_a_file(tmp_path: Path) -> None:
    depth, colour = write_pairs(tmp_path, 2)
    own = Camera.from_focal_length(WIDTH, HEIGHT, 40)
    beside = Camera(50, 50, 16, 12, WIDTH, HEIGHT, translation_mm=(-20.0, 0, 0))
    both = tmp_path / "camera.json"
    both.write_text(json.dumps({"camera": own.to_dict(), "colour_camera": beside.to_dict()}))
    options = ["--colour", colour, "--camera", both, "--depth-unit-mm", "1"]
    assert import_(depth, *options, "--out", tmp_path / "rec") == 0
    recording = Recording(tmp_path / "rec")
    assert recording.camera == own and recording.colour_camera == beside


def write_record3d(path: Path, count: int = 4, sizes: bool = True) -> list[NDArray[np.float32]]:
    import lzfse

    made = []
    metadata: dict[str, Any] = {"w": 96, "h": 128, "fps": 30, "K": [100, 0, 0, 0, 100, 0, 48, 64, 1]}
    if sizes:
        metadata |= {"dw": 24, "dh": 32, "frameTimestamps": [10.0, 10.5, 11.0, 11.5]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata", json.dumps(metadata))
        for number in range(count):
            depth = np.linspace(0.3, 1.0 + number, 24 * 32, dtype=np.float32).reshape(32, 24)
            depth[0, 0] = np.nan
            made.append(depth)
            archive.writestr(f"rgbd/{number}.depth", lzfse.compress(depth.tobytes()))
            archive.writestr(f"rgbd/{number}.jpg", encode_image(colour_image(number, 128, 96), ".jpg"))
    return made


@pytest.mark.parametrize("sizes", [True, False])
def test_record3d(tmp_path: Path, sizes: bool) -> None:
    pytest.importorskip("lzfse", reason="the extra import is not installed")
    depths = write_record3d(tmp_path / "a.r3d", sizes=sizes)
    assert import_(tmp_path / "a.r3d", "--out", tmp_path / "rec") == 0
    recording = Recording(tmp_path / "rec")
    assert len(recording) == 4 and recording.camera is not None and recording.camera.width == 24
    assert recording.camera.fx == pytest.approx(25) and recording.colour_camera is not None
    for number, depth in enumerate(depths):
        frame = recording[number]
        assert frame.depth_mm[0, 0] == 0
        assert np.abs(frame.depth_mm - 1000 * np.nan_to_num(depth)).max() <= 0.0626
        assert frame.colour is not None and np.abs(frame.colour.astype(int) - colour_image(number, 128, 96)).mean() < 8
    assert recording.timestamps_s[1] == pytest.approx(10.5 if sizes else 1 / 30)


def test_damaged_record3d(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lzfse = pytest.importorskip("lzfse", reason="the extra import is not installed")
    write_record3d(tmp_path / "a.r3d", 2)
    with zipfile.ZipFile(tmp_path / "a.r3d", "a") as archive:
        archive.writestr("rgbd/3.depth", lzfse.compress(np.zeros((10, 10), np.float32).tobytes()))
        archive.writestr("rgbd/3.jpg", encode_image(colour_image(1, 128, 96), ".jpg"))
    assert import_(tmp_path / "a.r3d", "--out", tmp_path / "rec") == 1
    said = capsys.readouterr()
    assert "2 (the source has 4)" in said.out and "frame 3" in said.err
    (tmp_path / "b.r3d").write_bytes(b"no zip")
    with pytest.raises(FrameError, match="Record3D"):
        open_record3d(tmp_path / "b.r3d")


def azure_calibration() -> dict[str, Any]:
    lens = [0.5, 0.5, 0.49, 0.49, 0.08, -0.02, 0.001, 0.0, 0.0, 0.0, 0.0, 0.0, 1e-4, -2e-4]
    turned = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]

    def entry(purpose: str, shift: list[float]) -> dict[str, Any]:
        return {
            "Purpose": f"CALIBRATION_CameraPurpose{purpose}",
            "Intrinsics": {"ModelParameterCount": 14, "ModelParameters": lens},
            "Rt": {"Rotation": turned, "Translation": shift},
        }

    cameras = [entry("Depth", [0.0, 0.0, 0.0]), entry("PhotoVideo", [-0.032, -0.002, 0.004])]
    return {"CalibrationInformation": {"Cameras": cameras}}


def write_azure_kinect(path: Path, count: int = 6, *, calibration: bool = True, depth: bool = True) -> None:
    """Tracks and attachment as the recorder writes them: big-endian depth, JPEG colour, calibration.json."""
    import av

    with av.open(str(path), "w", options={"allow_raw_vfw": "1"}) as container:
        tracks: dict[str, Any] = {}
        for title, codec, width, height, pixels in (
            ("COLOR", "mjpeg", 128, 72, "yuvj420p"),
            ("DEPTH", "rawvideo", 320, 288, "gray16be"),
        ):
            if title == "DEPTH" and not depth:
                continue
            track: Any = container.add_stream(codec, rate=30)
            track.width, track.height, track.pix_fmt = width, height, pixels
            track.metadata["title"] = title
            tracks[title] = track
        if calibration:
            data = json.dumps(azure_calibration()).encode()
            container.add_attachment("calibration.json", "application/octet-stream", data)
        for number in range(count):
            images: dict[str, tuple[NDArray[Any], str]] = {
                "COLOR": (np.full((72, 128, 3), 30 * number + 40, np.uint8), "rgb24"),
                "DEPTH": (np.full((288, 320), 700 + number, np.uint16), "gray16be"),
            }
            for title, track in tracks.items():
                frame = av.VideoFrame.from_ndarray(*images[title][:1], format=images[title][1])
                frame.pts = number
                container.mux(track.encode(frame))
        for track in tracks.values():
            container.mux(track.encode())


def test_azure_kinect(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra import is not installed")
    write_azure_kinect(tmp_path / "a.mkv")
    assert import_(tmp_path / "a.mkv", "--out", tmp_path / "rec") == 0
    recording = Recording(tmp_path / "rec")
    assert len(recording) == 6 and recording.depth_unit_mm == 1.0
    for number in range(6):
        assert (recording.read_raw_depth(number) == 700 + number).all()
        colour = recording[number].colour
        assert colour is not None and abs(float(colour.mean()) - (30 * number + 40)) < 3
    camera, beside = recording.camera, recording.colour_camera
    assert camera is not None and beside is not None
    # The binned narrow mode is a window of the halved sensor.
    assert (camera.fx, camera.cx) == pytest.approx((0.49 * 512, 0.5 * 512 - 0.5 - 96))
    assert beside.translation_mm == pytest.approx((-32.0, -2.0, 4.0))
    assert (beside.fx, beside.cy) == pytest.approx((0.49 * 128, 0.5 * 96 - 0.5 - 12))
    # The lens: what the file's own model bends to a pixel comes back from the pixel as the ray.
    distort = brown_conrady((0.08, -0.02, 0.001, 0, 0, 0), -2e-4, 1e-4)
    ray = (np.array([0.3]), np.array([-0.2]))
    x, y = distort(*ray)
    pixel = np.array([[x[0] * camera.fx + camera.cx, y[0] * camera.fy + camera.cy]])
    assert camera.deproject_pixels(pixel, np.array([1.0]))[0, :2] == pytest.approx((0.3, -0.2), abs=1e-3)


def test_azure_kinect_without_depth_or_calibration(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the extra import is not installed")
    write_azure_kinect(tmp_path / "a.mkv", 2, depth=False)
    with pytest.raises(FrameError, match="expected DEPTH"):
        open_azure_kinect(tmp_path / "a.mkv")
    write_azure_kinect(tmp_path / "b.mkv", 2, calibration=False)
    with pytest.raises(FrameError, match="no calibration"):
        open_azure_kinect(tmp_path / "b.mkv")
    (tmp_path / "c.mkv").write_bytes(b"nothing")
    with pytest.raises(FrameError, match="Matroska"):
        open_azure_kinect(tmp_path / "c.mkv")


def write_bag(path: Path, kind: str, topics: dict[str, str], count: int = 8, gap: int | None = None) -> None:
    """A ROS 1 bag, or a ROS 2 bag in sqlite3 or MCAP, with images and CameraInfo."""
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as Writer2
    from rosbags.typesys import Stores, get_typestore

    ros1 = kind == "bag"
    store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
    types: Any = store.types
    plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
    writer: Any = Writer1(path) if ros1 else Writer2(path, version=9, storage_plugin=plugin)
    with writer:
        connections = {
            topic: writer.add_connection(
                topic,
                "sensor_msgs/msg/CompressedImage" if "ompressed" in encoding else "sensor_msgs/msg/Image",
                typestore=store,
            )
            for topic, encoding in topics.items()
        }
        infos = {
            topic: writer.add_connection(
                f"{topic.removesuffix('/compressed').removesuffix('/compressedDepth').rpartition('/')[0]}/camera_info",
                "sensor_msgs/msg/CameraInfo",
                typestore=store,
            )
            for topic in topics
        }

        def write(connection: Any, message: Any, nanoseconds: int) -> None:
            serialize = store.serialize_ros1 if ros1 else store.serialize_cdr
            writer.write(connection, nanoseconds, serialize(message, message.__msgtype__))

        for number in range(count):
            if number == gap:
                continue
            nanoseconds = 10**18 + number * 33_333_333
            stamp = types["builtin_interfaces/msg/Time"](sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
            sequence = {"seq": number} if ros1 else {}
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera", **sequence)
            for topic, encoding in topics.items():
                write(connections[topic], _image(types, header, encoding, number), nanoseconds)
                region = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
                matrix = np.array([40, 0, 15.5, 0, 41, 11.5, 0, 0, 1], np.float64)
                names = {"k": matrix, "d": np.zeros(5), "r": np.eye(3).ravel(), "p": np.zeros(12)}
                info = types["sensor_msgs/msg/CameraInfo"](
                    header=header, height=HEIGHT, width=WIDTH, distortion_model="plumb_bob", binning_x=0, binning_y=0,
                    roi=region, **({name.upper(): value for name, value in names.items()} if ros1 else names),
                )  # fmt: skip
                write(infos[topic], info, nanoseconds)


def _image(types: Any, header: Any, encoding: str, number: int) -> Any:
    depth, colour = depth_image(number), colour_image(number)
    if "ompressed" in encoding:
        if encoding.startswith("16UC1"):
            payload = bytes(12) + encode_image(depth, ".png")
        else:
            payload = encode_image(colour, ".jpg")
        data = np.frombuffer(payload, np.uint8)
        return types["sensor_msgs/msg/CompressedImage"](header=header, format=encoding, data=data)
    pixels = {
        "16UC1": depth.view(np.uint8),
        "32FC1": (depth / 1000).astype(np.float32).view(np.uint8),
        "bgr8": cv2.cvtColor(colour, cv2.COLOR_RGB2BGR),
        "rgb8": colour,
    }[encoding]
    rows = np.ascontiguousarray(pixels).reshape(HEIGHT, -1)
    # Rows of drivers are often padded.
    padded = np.pad(rows, ((0, 0), (0, 8)))
    return types["sensor_msgs/msg/Image"](
        header=header, height=HEIGHT, width=WIDTH, encoding=encoding, is_bigendian=0, step=padded.shape[1],
        data=padded.ravel(),
    )  # fmt: skip


COLOUR_TOPIC, DEPTH_TOPIC = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"


@pytest.mark.parametrize(
    ("kind", "depth", "colour"),
    [("bag", "16UC1", "rgb8"), ("db3", "32FC1", "bgr8"), ("mcap", "16UC1", "rgb8")],
)
def test_ros(tmp_path: Path, kind: str, depth: str, colour: str) -> None:
    pytest.importorskip("rosbags", reason="the extra import is not installed")
    path = tmp_path / ("a.bag" if kind == "bag" else "a")
    write_bag(path, kind, {DEPTH_TOPIC: depth, COLOUR_TOPIC: colour})
    source = next(path.glob("*.mcap")) if kind == "mcap" else path
    assert import_(source, "--registered", "--out", tmp_path / "rec") == 0
    recording = Recording(tmp_path / "rec")
    assert len(recording) == 8 and recording.camera is not None and recording.camera.fy == 41
    for number in range(8):
        assert np.abs(recording[number].depth_mm - depth_image(number)).max() < 0.07
        assert np.array_equal(colour_of(recording, number), colour_image(number))
    assert json.loads((tmp_path / "rec" / "import.json").read_text())["expected"] == 8


def test_ros_gaps_topics_and_8_bit_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rosbags", reason="the extra import is not installed")
    compressed = f"{DEPTH_TOPIC}/compressedDepth"
    write_bag(tmp_path / "a.bag", "bag", {compressed: "16UC1; compressedDepth", COLOUR_TOPIC: "rgb8"}, gap=4)
    assert import_(tmp_path / "a.bag", "--registered", "--out", tmp_path / "rec") == 0
    assert "about 1 frame(s) missing" in capsys.readouterr().err
    assert np.array_equal(Recording(tmp_path / "rec").read_raw_depth(4), depth_image(5))
    write_bag(tmp_path / "b.bag", "bag", {f"{DEPTH_TOPIC}/compressed": "jpeg compressed"}, 2)
    with pytest.raises(FrameError, match=f"Record {DEPTH_TOPIC} or {DEPTH_TOPIC}/compressedDepth"):
        open_ros(tmp_path / "b.bag")
    write_bag(tmp_path / "c.bag", "bag", {DEPTH_TOPIC: "16UC1", "/other/depth/image": "16UC1"}, 2)
    with pytest.raises(FrameError, match="--depth-topic"):
        open_ros(tmp_path / "c.bag")
    stream = open_ros(tmp_path / "c.bag", depth_topic="/other/depth/image")
    assert len(list(stream.frames())) == 2
    stream.close()
    with pytest.raises(FrameError, match="no image topic"):
        open_ros(tmp_path / "c.bag", depth_topic="/nothing")
    (tmp_path / "d.bag").write_bytes(b"nothing")
    with pytest.raises(FrameError, match="cannot be read as a bag"):
        open_ros(tmp_path / "d.bag")


def test_unknown_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    assert import_(tmp_path / "a.mp4", "--out", tmp_path / "rec") == 1
    assert import_(tmp_path / "missing.bag", "--out", tmp_path / "rec") == 1
    with sqlite3.connect(tmp_path / "b.db3") as connection:
        connection.execute("CREATE TABLE messages(id)")
    assert import_(tmp_path / "b.db3", "--out", tmp_path / "rec") == 1
    assert not (tmp_path / "rec").exists()


def test_gaps_in_time() -> None:
    assert gaps_in_time([0, 1, 2, 3]) == []
    assert gaps_in_time([0.0, 0.1, 0.2, 0.5, 0.6])[0].startswith(
        "after frame 000002: 300 ms instead of 100 ms, about 2"
    )
    assert "runs back" in gaps_in_time([0, 1, 2, 1.5, 3])[-1]
    assert gaps_in_time([None, None]) == []


def test_metres_to_raw() -> None:
    raw = metres_to_raw(np.array([[0.5, np.nan, np.inf, -1.0, 9.0, 0.0]], np.float32))
    assert raw.tolist() == [[4000, 0, 0, 0, 0, 0]]


def test_a_lens_is_fitted() -> None:
    camera = Camera.from_focal_length(640, 480, 500)
    fitted, error = with_fitted_distortion(camera, brown_conrady((0.05, -0.1, 0.02), 1e-3, -5e-4))
    assert error < 0.2 and fitted.is_distorted
    same, error = with_fitted_distortion(camera, brown_conrady((0.0,), 0.0, 0.0))
    assert error < 1e-9 and np.abs(same.distortion).max() < 1e-9


def test_a_folder_of_anything_that_is_depth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    for number in range(3):
        np.save(folder / f"{number}.npy", (depth_image(number) / 1000).astype(np.float32))
        write_image_atomically(folder / f"{number}.jpg", colour_image(number))
    (folder / "1.npy").write_bytes(b"damaged")
    np.save(folder / "K.npy", np.array([[40, 0, 15.5], [0, 40, 11.5], [0, 0, 1]]))
    options = ["--depth-unit-mm", "1000", "--camera", folder / "K.npy"]
    assert import_(folder, *options, "--out", tmp_path / "rec") == 1
    assert "1.npy" in capsys.readouterr().err
    recording = Recording(tmp_path / "rec")
    assert len(recording) == 2 and recording.camera == Camera(40, 40, 15.5, 11.5, WIDTH, HEIGHT)
    # Metres become steps of an eighth of a millimetre, and the pictures beside them are theirs.
    assert np.array_equal(recording.read_raw_depth(1), depth_image(2) * 8)
    assert np.abs(colour_of(recording, 1).astype(int) - colour_image(2)).mean() < 3
    assert import_(folder, "--out", tmp_path / "metres") == 1
    assert "1000" in capsys.readouterr().err


def test_what_means_no_data_is_no_data_in_the_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.stack([depth_image(0), depth_image(1)]).astype(np.uint16)
    values[1, 0, :5] = 65535
    np.savez(tmp_path / "both.npz", depth=values, depth_unit_mm=0.5)
    assert import_(tmp_path / "both.npz", "--out", tmp_path / "rec", "--focal-px", "40") == 0
    assert "counted as no data" in capsys.readouterr().out
    recording = Recording(tmp_path / "rec")
    assert len(recording) == 2 and recording.depth_unit_mm == 0.5
    assert (recording.read_raw_depth(1)[0, :5] == 0).all()
    assert np.array_equal(recording.read_raw_depth(0), depth_image(0))


def test_a_frame_of_another_size_is_one_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    depth, _ = write_pairs(tmp_path, 3)
    write_image_atomically(depth / "depth_1.png", depth_image(1)[::2])
    assert import_(depth, "--depth-unit-mm", "1", "--focal-px", "40", "--out", tmp_path / "rec") == 1
    assert "(12, 32)" in capsys.readouterr().err
    assert len(Recording(tmp_path / "rec")) == 2
