"""Containers that other programs misread: the numbers come back as they were, or the error says what the file is."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.errors import FrameError
from graspcut.frames.images import read_single_channel
from graspcut.frames.inspection import inspect_frames
from graspcut.frames.sources import open_source

WIDTH, HEIGHT = 64, 48


def scene(step: int = 0) -> NDArray[np.uint16]:
    """A wall that is tilted a little with something nearer before it and a border without data."""
    depth = np.tile(np.linspace(1200, 1260, WIDTH).astype(np.uint16), (HEIGHT, 1)) + np.uint16(step)
    depth[15:30, 20:40] = 500 + np.arange(20, dtype=np.uint16)
    depth[:, :2] = 0
    return depth


def only_frame(path: Path, unit_mm: float | None = 1.0) -> Any:
    source = open_source(path, depth_unit_mm=unit_mm)
    assert len(source) == 1
    return source[0]


def kinds(frame: Any) -> list[str]:
    return [note.kind for note in frame.notes]


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(rows: NDArray[np.uint8], width: int, bits: int, colour_type: int, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG file from packed rows of bytes."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    middle = b"".join(chunk(kind, content) for kind, content in extra)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("order", ["big", "little"])
def test_pgm_of_either_byte_order(tmp_path: Path, order: str) -> None:
    values = scene().astype(">u2" if order == "big" else "<u2")
    (tmp_path / "a.pgm").write_bytes(b"P5\n# by hand\n%d %d\n65535\n" % (WIDTH, HEIGHT) + values.tobytes())
    frame = only_frame(tmp_path / "a.pgm")
    assert np.array_equal(frame.depth_mm, scene())
    assert kinds(frame) == ([] if order == "big" else ["byte order"])


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_swapped_bytes_are_noticed_in_other_containers(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"a{suffix}"), scene().byteswap())
    frame = only_frame(tmp_path / f"a{suffix}")
    assert np.array_equal(frame.depth_mm, scene()) and kinds(frame) == ["byte order"]


def test_the_highest_value_of_a_pgm_is_no_data(tmp_path: Path) -> None:
    values = np.where(scene() > 0, scene(), 4095).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 %d %d 4095\n" % (WIDTH, HEIGHT) + values.tobytes())
    frame = only_frame(tmp_path / "a.pgm")
    assert np.array_equal(frame.depth_mm, scene()) and kinds(frame) == ["no data"]
    (tmp_path / "t.pgm").write_text(f"P2\n{WIDTH} {HEIGHT} 65535\n" + " ".join(map(str, scene().ravel())))
    assert np.array_equal(only_frame(tmp_path / "t.pgm").depth_mm, scene())


def test_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    cv2.imwritemulti(str(tmp_path / "stack.tiff"), [scene(0), scene(1), scene(2)])
    source = open_source(tmp_path / "stack.tiff", depth_unit_mm=1)
    assert list(source.names) == ["stack_000000", "stack_000001", "stack_000002"]
    for step, frame in enumerate(source):
        assert np.array_equal(frame.depth_mm, scene(step))
    facts = dict(inspect_frames(tmp_path / "stack.tiff", depth_unit_mm=1).facts)
    assert facts["frames"] == "3"
    data = bytearray((tmp_path / "stack.tiff").read_bytes())
    data[4:8] = struct.pack("<I", 2**31)
    (tmp_path / "bad.tiff").write_bytes(data)
    with pytest.raises(FrameError, match=r"bad\.tiff"):
        open_source(tmp_path / "bad.tiff", depth_unit_mm=1)[0]


@pytest.mark.parametrize("scale", [-1.0, 1.0, -0.001])
def test_pfm(tmp_path: Path, scale: float) -> None:
    metres = (scene() / 1000).astype(np.float32)
    stored = (metres / np.float32(abs(scale)))[::-1].astype("<f4" if scale < 0 else ">f4")
    (tmp_path / "a.pfm").write_bytes(b"Pf\n%d %d\n%g\n" % (WIDTH, HEIGHT, scale) + stored.tobytes())
    assert only_frame(tmp_path / "a.pfm", 1000).depth_mm == pytest.approx(scene(), abs=0.01)
    (tmp_path / "a.pfm").write_bytes((tmp_path / "a.pfm").read_bytes()[:-9])
    with pytest.raises(FrameError, match=r"a\.pfm is damaged: it ends after"):
        only_frame(tmp_path / "a.pfm", 1000)


def exr(values: NDArray[Any], name: bytes, compression: int) -> bytes:
    """An OpenEXR file of one channel, written by the letter of its layout, one scan line after the other."""
    kind = {"f2": 1, "f4": 2, "u4": 0}[values.dtype.str[1:]]
    height, width = values.shape

    def attribute(label: bytes, type_name: bytes, content: bytes) -> bytes:
        return label + b"\0" + type_name + b"\0" + struct.pack("<I", len(content)) + content

    box = struct.pack("<iiii", 3, -2, 3 + width - 1, -2 + height - 1)
    channels = name + b"\0" + struct.pack("<IIII", kind, 0, 1, 1) + b"\0"
    head = b"\x76\x2f\x31\x01\x02\0\0\0" + attribute(b"channels", b"chlist", channels)
    head += attribute(b"compression", b"compression", bytes([compression])) + attribute(b"dataWindow", b"box2i", box)
    head += b"\0"
    lines = {0: 1, 2: 1, 3: 16}[compression]
    blocks = []
    for row in range(0, height, lines):
        raw = values[row : row + lines].tobytes()
        if compression:
            halves = raw[0::2] + raw[1::2]
            steps = bytes((halves[i] - (halves[i - 1] if i else 0) + (128 if i else 0)) % 256 for i in range(len(raw)))
            packed = zlib.compress(steps)
            raw = packed if len(packed) < len(raw) else raw
        blocks.append(struct.pack("<iI", row - 2, len(raw)) + raw)
    offsets, position = b"", len(head) + 8 * len(blocks)
    for block in blocks:
        offsets += struct.pack("<Q", position)
        position += len(block)
    return head + offsets + b"".join(blocks)


@pytest.mark.parametrize("compression", [0, 2, 3])
@pytest.mark.parametrize(("dtype", "name"), [("<f4", b"Z"), ("<f2", b"ViewLayer.Depth.Z"), ("<f4", b"R")])
def test_exr(tmp_path: Path, compression: int, dtype: str, name: bytes) -> None:
    metres = (scene() / 1000).astype(dtype)
    (tmp_path / "a.exr").write_bytes(exr(metres, name, compression))
    frame = only_frame(tmp_path / "a.exr", 1000)
    assert np.array_equal(frame.depth_mm, (metres.astype(np.float64) * 1000).astype(np.float32))
    whole = (tmp_path / "a.exr").read_bytes()
    (tmp_path / "cut.exr").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FrameError, match=r"cut\.exr"):
        only_frame(tmp_path / "cut.exr", 1000)


def test_exr_of_other_compressions_is_named(tmp_path: Path) -> None:
    data = exr(scene().astype("<f4"), b"Z", 0).replace(
        b"compression\0compression\0\1\0\0\0\0", b"compression\0compression\0\1\0\0\0\4"
    )
    (tmp_path / "a.exr").write_bytes(data)
    with pytest.raises(FrameError, match="compressed with PIZ"):
        only_frame(tmp_path / "a.exr")


@pytest.mark.parametrize(("high", "low"), [(1, 2), (1, 0), (0, 1), (0, 2), (2, 1), (2, 0)])
def test_depth_packed_into_8_bit_channels(tmp_path: Path, high: int, low: int) -> None:
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., high], picture[..., low] = scene() >> 8, scene() & 255
    cv2.imwrite(str(tmp_path / "a.png"), picture[..., ::-1])
    frame = only_frame(tmp_path / "a.png")
    assert np.array_equal(frame.depth_mm, scene()) and kinds(frame) == ["packed"]
    with_alpha = np.dstack([picture, np.full((HEIGHT, WIDTH), 255, np.uint8)])
    np.save(tmp_path / "a.npy", with_alpha)
    assert np.array_equal(only_frame(tmp_path / "a.npy").depth_mm, scene())


def test_packed_depth_of_a_plain_labelled_folder(tmp_path: Path) -> None:
    for folder in ("depth", "label"):
        (tmp_path / folder).mkdir()
    cv2.imwrite(
        str(tmp_path / "depth" / "0.png"), np.dstack([scene() & 255, scene() >> 8, scene() * 0]).astype(np.uint8)
    )
    cv2.imwrite(str(tmp_path / "label" / "0.png"), (scene() > 0).astype(np.uint8))
    depth, _ = DatasetReader(tmp_path, depth_unit_mm=1).read_depth_and_labels(0)
    assert np.array_equal(depth, scene())


def test_real_depth_packed_into_channels(real_data: Path) -> None:
    depth = only_frame(real_data / "nyu" / "depth_1_0000001.png").depth_mm
    stored = cv2.imread(str(real_data / "nyu" / "depth_1_0000001.png"))
    assert stored is not None
    assert np.array_equal(depth, stored[..., 1].astype(np.float32) * 256 + stored[..., 0])
    assert 500 < np.median(depth[depth > 0]) < 2500


def test_colour_pictures_stay_colour_pictures(tmp_path: Path, real_data: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    noise[..., 0] = 0
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    for path in (tmp_path / "noise.png", real_data / "table-scene" / "frame_000000_color.png"):
        with pytest.raises(FrameError, match="colour image came as depth"):
            only_frame(path)


def test_16_bit_grey_with_alpha_and_equal_channels(tmp_path: Path) -> None:
    big = scene().astype(">u2")
    alpha = np.where(scene() > 0, 65535, 0).astype(">u2")
    filled = np.where(scene() > 0, scene(), 777).astype(">u2")
    grey_alpha = np.stack([filled, alpha], axis=2).reshape(HEIGHT, -1).view(np.uint8)
    (tmp_path / "la.png").write_bytes(png(grey_alpha, WIDTH, 16, 4))
    three = np.stack([big] * 3, axis=2).reshape(HEIGHT, -1).view(np.uint8)
    (tmp_path / "rgb.png").write_bytes(png(three, WIDTH, 16, 2))
    for name in ("la.png", "rgb.png"):
        frame = only_frame(tmp_path / name)
        assert np.array_equal(frame.depth_mm, scene()) and "channels" in kinds(frame), name


@pytest.mark.parametrize("is_float", [False, True])
def test_ros_compressed_depth(tmp_path: Path, is_float: bool) -> None:
    scale, offset = 10100.0, -1009.0
    metres = scene() / 1000
    values = scene()
    if is_float:
        with np.errstate(divide="ignore"):
            values = np.where(metres > 0, scale / metres + offset, 0).round().astype(np.uint16)
    _, data = cv2.imencode(".png", values)
    head = struct.pack("<iff", 1, *((scale, offset) if is_float else (0.0, 0.0)))
    (tmp_path / "a.png").write_bytes(head + data.tobytes())
    frame = only_frame(tmp_path / "a.png")
    assert frame.depth_mm == pytest.approx(scene(), rel=2e-3) and "container" in kinds(frame)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indexed_labels_give_their_numbers(tmp_path: Path, bits: int) -> None:
    labels = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % min(2**bits, 3)
    packed = np.unpackbits(labels.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :].reshape(HEIGHT, -1)
    palette = bytes(range(200, 200 + 3)) * 2**bits
    (tmp_path / "label.png").write_bytes(
        png(np.packbits(packed, axis=1), WIDTH, bits, 3, (b"PLTE", palette[: 3 * 2**bits]))
    )
    assert np.array_equal(read_single_channel(tmp_path / "label.png", what="label map"), labels)


@pytest.mark.parametrize(
    ("shape", "frames"),
    [((1,), 1), ((HEIGHT, WIDTH, 1), 1), ((2, 1), 2), ((2, HEIGHT, WIDTH, 1), 2), ((1, 1), 1), ((5, HEIGHT, WIDTH), 5)],
)
def test_axes_of_one_element(tmp_path: Path, shape: tuple[int, ...], frames: int) -> None:
    full = shape if len(shape) > 2 else (*shape, HEIGHT, WIDTH)
    np.save(tmp_path / "a.npy", np.broadcast_to(scene().reshape(-1), (frames, HEIGHT * WIDTH)).reshape(full))
    source = open_source(tmp_path / "a.npy", depth_unit_mm=1)
    assert len(source) == frames
    assert np.array_equal(source[frames - 1].depth_mm, scene())


def points() -> NDArray[np.float32]:
    z = (scene() / 1000).astype(np.float32)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([(u - 31.5) / 50 * z, (v - 23.5) / 50 * z, z], axis=2).astype(np.float32)


@pytest.mark.parametrize("layout", ["last", "first", "four", "up", "two"])
def test_point_maps_give_their_z(tmp_path: Path, layout: str) -> None:
    cloud = points()
    if layout == "first":
        cloud = np.moveaxis(cloud, 2, 0)
    elif layout == "four":
        cloud = np.dstack([cloud, np.ones((HEIGHT, WIDTH), np.float32)])
    elif layout == "up":
        cloud = cloud * np.array([1, -1, -1], np.float32)
    elif layout == "two":
        cloud = np.stack([cloud] * 2)
    np.save(tmp_path / "a.npy", cloud)
    source = open_source(tmp_path / "a.npy", depth_unit_mm=1000)
    assert len(source) == (2 if layout == "two" else 1)
    assert source[0].depth_mm == pytest.approx(scene(), abs=0.01)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((100, 3), np.float32), "a list of points"),
        (np.zeros(HEIGHT * 100, np.uint16), "a flat list of 4800 numbers"),
        (np.zeros(640 * 480, np.uint16), r"reshape\(480, 640\)"),
        (np.zeros((0, 4), np.uint16), "no numbers"),
        (np.zeros((1_000_000, 0, 4), np.uint16), "no numbers"),
        (np.array(5), "single number"),
        (np.array({"depth": 1}), "pickled Python objects, such as a dictionary"),
        (np.zeros((2, 2, 2, 5, 5), np.uint16), "expected .height, width"),
        (np.random.default_rng(0).random((HEIGHT, WIDTH, 3), np.float32), "map of points"),
    ],
)
def test_arrays_that_are_no_image_say_what_they_are(tmp_path: Path, array: NDArray[Any], words: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(FrameError, match=rf"a\.npy.*{words}"):
        open_source(tmp_path / "a.npy", depth_unit_mm=1)[0]


def test_a_header_that_promises_more_than_the_file_has(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", scene())
    data = (tmp_path / "a.npy").read_bytes().replace(b"(48, 64)", b"(4800000, 64)"[:8].ljust(8))
    data = (tmp_path / "a.npy").read_bytes().replace(b"(48, 64), }     ", b"(4800000, 64), }")
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(FrameError, match=r"a\.npy is damaged: its header promises 614400000 bytes"):
        open_source(tmp_path / "a.npy", depth_unit_mm=1)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_with_camera_unit_and_default_names(tmp_path: Path, save: Any) -> None:
    matrix = np.array([[50.0, 0, 31.5], [0, 51.0, 23.5], [0, 0, 1]])
    save(tmp_path / "k.npz", depth=scene(), depth_unit_mm=1.0, K=matrix)
    frame = only_frame(tmp_path / "k.npz", None)
    assert (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy) == (50, 51, 31.5, 23.5)
    save(tmp_path / "scale.npz", depth=scene() * 5, depth_scale=5000)
    assert np.array_equal(only_frame(tmp_path / "scale.npz", None).depth_mm, scene())
    save(tmp_path / "realsense.npz", depth=scene(), depth_scale=0.001)
    assert np.array_equal(only_frame(tmp_path / "realsense.npz", None).depth_mm, scene())
    save(tmp_path / "arr.npz", scene())
    assert np.array_equal(only_frame(tmp_path / "arr.npz").depth_mm, scene())
    large = np.stack([np.tile(scene(step), (8, 8)) for step in range(5)])
    save(tmp_path / "stack.npz", depth=large)
    source = open_source(tmp_path / "stack.npz", depth_unit_mm=1)
    assert len(source) == 5 and np.array_equal(source[3].depth_mm, large[3])


def test_archives_that_lie_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", depth=scene(), depth_unit_mm=1.0, colour=np.array(3, np.uint8))
    with pytest.raises(FrameError, match=r"a\.npz.*colour"):
        only_frame(tmp_path / "a.npz", None)
    np.savez_compressed(tmp_path / "bomb.npz", depth=np.zeros((100, 1000, 1000), np.uint16))
    monkeypatch.setenv("GRASPCUT_MAX_MEGAPIXELS", "4")
    with pytest.raises(FrameError, match=r"bomb\.npz, array 'depth' would unpack to 200 MB.*--max-megapixels"):
        open_source(tmp_path / "bomb.npz", depth_unit_mm=1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mat", "scipy.io.loadmat"),
        ("a.bag", "rs-convert"),
        ("a.mkv", "ffmpeg"),
        ("a.csv", "numpy.loadtxt"),
        ("a.raw", r"numpy.fromfile\('a.raw', numpy.uint16\).reshape\(48, 64\)|reshape\(height, width\)"),
        ("a.bin", "numpy.fromfile"),
        ("a.h5", "h5py"),
        ("a.pkl", "pickle"),
        ("a.jpg", "JPEG"),
    ],
)
def test_other_endings_say_how_to_come_from_there(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(scene().tobytes())
    with pytest.raises(FrameError, match=words):
        open_source(tmp_path / name, depth_unit_mm=1)


@pytest.mark.parametrize(
    ("shape", "is_last"),
    [
        ((48, 64, 7), True),
        ((120, 160, 100), True),
        ((240, 320, 130), True),
        ((7, 48, 64), False),
        ((48, 48, 48), False),
        ((100, 64, 256), False),
        ((300, 480, 640), False),
        ((640, 480, 640), False),
    ],
)
def test_frames_may_lie_along_the_last_axis(shape: tuple[int, ...], is_last: bool, tmp_path: Path) -> None:
    # A file with a hole: one frame is written.
    values = np.lib.format.open_memmap(tmp_path / "a.npy", mode="w+", dtype=np.uint16, shape=shape)
    (values[..., 3] if is_last else values[3])[...] = 700
    del values
    source = open_source(tmp_path / "a.npy", depth_unit_mm=1)
    frame = source[3]
    assert len(source) == (shape[2] if is_last else shape[0])
    assert frame.depth_mm.shape == (shape[:2] if is_last else shape[1:]) and (frame.depth_mm == 700).all()
    assert source[2].depth_mm.max() == 0
    assert any("frames of" in note.text for note in frame.notes or ()) == is_last


def test_complex_numbers_are_no_distances(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", scene().astype(np.complex64))
    with pytest.raises(FrameError, match=r"a\.npy: an array of complex64"):
        open_source(tmp_path / "a.npy", depth_unit_mm=1)[0]


@pytest.mark.parametrize("offset", [2**63 + 5, 2**64 - 1, 10**9])
def test_exr_whose_blocks_lie_nowhere(tmp_path: Path, offset: int) -> None:
    data = exr(scene().astype("<f4"), b"Z", 0)
    table = data.index(b"\0", data.index(b"box2i\0") + len(b"box2i\0") + 4 + 16) + 1
    (tmp_path / "a.exr").write_bytes(data[:table] + struct.pack("<Q", offset) + data[table + 8 :])
    with pytest.raises(FrameError, match=r"a\.exr is damaged"):
        only_frame(tmp_path / "a.exr", 1000)
