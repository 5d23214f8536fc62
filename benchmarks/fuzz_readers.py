"""Throws damaged and hostile files at every reader and counts how each ends.

    python benchmarks/fuzz_readers.py --count 10000 --save docs/results/fuzz_readers.json

Valid inputs of every kind are made, then changed: flipped bits, cut and grown ends, moved and repeated pieces, numbers
of headers replaced by extreme ones, JSON values by others of any type, names by names outside. Every case is made from
its number alone. Cases run in worker processes with a limit on memory and time; files that a reader opens outside the
case's folder are caught by an audit hook. Allowed ends are a result, or a `ValueError` or `OSError` of this program.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graspcut.frames.atomic_writing import write_bytes_atomically
from graspcut.frames.camera import Camera
from graspcut.frames.camera_files import read_intrinsics
from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.errors import FrameError
from graspcut.frames.frame import Frame
from graspcut.frames.images import read_single_channel
from graspcut.frames.inspection import inspect_frames
from graspcut.frames.json_files import json_bytes
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.recording import RecordingWriter
from graspcut.frames.sources import find_frames

MEMORY_LIMIT = 1 << 30
TIME_LIMIT_S = 20
_EXTREMES = (0, 1, -1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 10**12)
_JSON_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1e308, 10**400, "", "../outside.png", "/etc/passwd", "/dev/zero", "x" * 5000),
    *([], {}, [[]], {"a": 1}, [1] * 100, "0", -0.0, 0.1, 10**12, "\0", "depth/000001.png"),
)


def scene(seed: int) -> np.ndarray[Any, np.dtype[np.uint16]]:
    """48x64 depth in millimetres."""
    depth = np.tile(np.linspace(900, 960, 64).astype(np.uint16), (48, 1))
    depth[10:30, 20:40] = 500 + seed % 50
    depth[:, :3] = 0
    return depth


def _encoded(suffix: str, image: Any) -> bytes:
    done, data = cv2.imencode(suffix, image)
    assert done
    return data.tobytes()


def _saved(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


def _exr(metres: Any) -> bytes:
    height, width = metres.shape
    channels = b"Z\0" + struct.pack("<IIII", 2, 0, 1, 1) + b"\0"
    box = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    head = b"\x76\x2f\x31\x01\x02\0\0\0"
    for label, kind, content in (
        (b"channels", b"chlist", channels),
        (b"compression", b"compression", b"\3"),
        (b"dataWindow", b"box2i", box),
    ):
        head += label + b"\0" + kind + b"\0" + struct.pack("<I", len(content)) + content
    head += b"\0"
    blocks = []
    for row in range(0, height, 16):
        raw = metres[row : row + 16].astype("<f4").tobytes()
        halves = np.frombuffer(raw[0::2] + raw[1::2], np.uint8).astype(int)
        steps = np.diff(halves, prepend=halves[0] - 128) + 128
        packed = zlib.compress((steps % 256).astype(np.uint8).tobytes())
        blocks.append(struct.pack("<iI", row, len(packed)) + packed)
    offsets, position = b"", len(head) + 8 * len(blocks)
    for block in blocks:
        offsets += struct.pack("<Q", position)
        position += len(block)
    return head + offsets + b"".join(blocks)


def _pages(seed: int) -> bytes:
    done, data = cv2.imencodemulti(".tiff", [scene(seed + step) for step in range(3)])
    assert done
    return bytes(data.tobytes())


def _packed(seed: int) -> bytes:
    depth = scene(seed)
    return _encoded(".png", np.dstack([depth & 255, depth >> 8, depth * 0]).astype(np.uint8))


def single_files(seed: int) -> dict[str, bytes]:
    """One valid file of every kind, by name."""
    depth = scene(seed)
    metres = (depth / 1000).astype(np.float32)
    pgm = b"P5\n# c\n64 48\n65535\n" + depth.astype(">u2").tobytes()
    matrix = np.array([[50.0, 0, 31.5], [0, 50, 23.5], [0, 0, 1]])
    yaml = "image_width: 64\nimage_height: 48\ncamera_matrix:\n  rows: 3\n  data: [50, 0, 31, 0, 50, 23, 0, 0, 1]\n"
    return {
        "a.png": _encoded(".png", depth),
        "packed.png": _packed(seed),
        "ros.png": struct.pack("<iff", 1, 0, 0) + _encoded(".png", depth),
        "a.tiff": _encoded(".tiff", depth),
        "float.tiff": _encoded(".tiff", metres),
        "pages.tiff": _pages(seed),
        "a.pgm": pgm,
        "text.pgm": f"P2 64 48 65535 {' '.join(map(str, depth.ravel()))}".encode(),
        "a.pfm": b"Pf\n64 48\n-1.0\n" + metres[::-1].astype("<f4").tobytes(),
        "a.exr": _exr(metres),
        "a.npy": _saved(np.save, depth),
        "stack.npy": _saved(np.save, np.stack([depth] * 3)),
        "points.npy": _saved(np.save, np.random.default_rng(seed).random((48, 64, 3), np.float32)),
        "a.npz": _saved(np.savez, depth=depth, depth_unit_mm=1.0, K=matrix),
        "packed.npz": _saved(np.savez_compressed, depth_mm=depth, colour=np.zeros((48, 64, 3), np.uint8)),
        "label.png": _encoded(".png", (depth > 0).astype(np.uint8)),
        "camera.json": json_bytes(Camera(50, 50, 31, 23, 64, 48).to_dict()),
        "camera.yaml": yaml.encode(),
        "camera.txt": b"50 0 31\n0 50 23\n0 0 1\n",
    }


def make_folder(kind: str, folder: Path, seed: int) -> None:
    """A recording or a dataset of two frames."""
    camera = Camera(50, 50, 31, 23, 64, 48)
    if kind == "recording":
        with RecordingWriter(folder, camera, 1.0) as recorder:
            for number in range(2):
                recorder.append(scene(seed + number), np.zeros((48, 64, 3), np.uint8), number / 30)
        return
    writer = DatasetWriter(folder, depth_unit_mm=1.0, description={"seed": seed}, batched=True)
    for number in range(2):
        depth = scene(seed + number).astype(np.float32)
        writer.write(number, LabelledFrame(Frame(depth, camera), (depth < 600).astype(np.uint8)))
    writer.finish(2)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four things wrong."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        how = rng.randrange(8)
        place = rng.randrange(max(1, min(len(content), rng.choice((64, 300, 10**9)))))
        if how == 0 and content:
            content[place % len(content)] ^= 1 << rng.randrange(8)
        elif how == 1:
            content = content[:place]
        elif how == 2:
            content += bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200)))
        elif how == 3:
            code = rng.choice("<>") + rng.choice("BHIQ")
            value = struct.pack(code, rng.choice(_EXTREMES) % 2 ** (8 * struct.calcsize(code)))
            content[place : place + len(value)] = value
        elif how == 4:
            piece = content[place : place + rng.randrange(1, 400)]
            content[place:place] = piece * rng.randrange(1, 4)
        elif how == 5:
            del content[place : place + rng.randrange(1, 100)]
        elif how == 6:
            content = _with_other_number(content, rng)
        elif content:
            content[place % len(content)] = rng.choice((0, 9, 10, 32, 45, 48, 57, 255))
    return bytes(content)


def _with_other_number(content: bytearray, rng: random.Random) -> bytearray:
    """A number written as text, in the first kilobytes, becomes another one."""
    import re

    numbers = list(re.finditer(rb"\d+", bytes(content[:2000])))
    if not numbers:
        return content
    chosen = rng.choice(numbers)
    return content[: chosen.start()] + str(rng.choice(_EXTREMES)).encode() + content[chosen.end() :]


def damaged_json(data: bytes, rng: random.Random) -> bytes:
    """JSON with values of other types, or damaged as bytes are."""
    how = rng.randrange(10)
    if how == 0:
        depth = rng.choice((200, 5000, 100_000))
        return b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    if how < 3:
        return damaged(data, rng)
    try:
        lines = data.decode().splitlines() if b"\n{" in data else [data.decode()]
        number = rng.randrange(len(lines))
        value = json.loads(lines[number])
        if not isinstance(value, dict | list):  # what an earlier change left
            return damaged(data, rng)
        _replace_somewhere(value, rng)
        lines[number] = json.dumps(value)
        return ("\n".join(lines) + "\n").encode()
    except (ValueError, RecursionError):
        return damaged(data, rng)


def _replace_somewhere(value: Any, rng: random.Random) -> None:
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.7:
            value = value[key]
            continue
        if rng.random() < 0.1 and isinstance(value, dict):
            del value[key]
        else:
            value[key] = rng.choice(_JSON_VALUES)
        return


def build_case(number: int, seed: int, folder: Path) -> tuple[str, Path]:
    """Writes case `number`: (kind, path to read)."""
    rng = random.Random(f"{seed}/{number}")
    names = [*single_files(0), "recording", "dataset"]
    kind = names[number % len(names)]
    if kind not in ("recording", "dataset"):
        data = single_files(rng.randrange(1000))[kind]
        changed = damaged_json(data, rng) if kind.endswith(".json") else damaged(data, rng)
        (folder / kind).write_bytes(changed)
        return kind, folder / kind
    place = folder / kind
    make_folder(kind, place, rng.randrange(1000))
    files = sorted(path for path in place.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix in (".json", ".jsonl")]
    for _ in range(rng.randint(1, 2)):
        path = rng.choice(texts if rng.random() < 0.8 else files)
        if path.exists():
            data = path.read_bytes()
            path.write_bytes(damaged_json(data, rng) if path.suffix in (".json", ".jsonl") else damaged(data, rng))
    if rng.random() < 0.15:
        victim = rng.choice(files)
        victim.unlink(missing_ok=True)
        rng.choice((lambda: os.mkfifo(victim), lambda: victim.symlink_to("/dev/zero"), lambda: victim.mkdir()))()
    return kind, place


def read_case(kind: str, path: Path) -> None:
    """Everything that the program does with such a file; bad frames inside are gone past, as commands do."""
    if kind.startswith("camera"):
        read_intrinsics(path)
        return
    if kind == "label.png":
        read_single_channel(path, what="label map")
        return
    inspect_frames(path, depth_unit_mm=None if kind in ("recording", "dataset") else 1.0)
    for entry in find_frames([path], depth_unit_mm=None if kind in ("recording", "dataset") else 1.0)[:50]:
        try:
            entry.load()
        except FrameError:
            continue
    if kind == "dataset":
        DatasetReader(path).check()


class _Outside:
    """Files opened for reading that are neither the case's nor Python's own."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or self.folder is None or not isinstance(arguments[0], str | bytes):
            return
        path = os.path.realpath(os.fsdecode(arguments[0]))
        inner = (self.folder, sys.prefix, sys.base_prefix, str(Path(__file__).parents[1]), "/proc", "/sys", "/usr")
        if not path.startswith(inner):
            self.seen.append(path)


class _TooLong(BaseException):
    pass


def _stop(_signal: int, _frame: Any) -> None:
    raise _TooLong


def work(first: int, count: int, seed: int, results: Any) -> None:
    """Runs cases first .. first + count - 1 and reports each."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Address space of Python with its libraries comes on top of what a reader may take.
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_LIMIT,) * 2)
    signal.signal(signal.SIGALRM, _stop)
    outside = _Outside()
    for number in range(first, first + count):
        results.put((number, "", "begun", "", 0.0))
        folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        started = time.monotonic()
        try:
            kind, path = build_case(number, seed, folder)
            outside.folder, outside.seen = os.path.realpath(folder), []
            signal.alarm(TIME_LIMIT_S)
            end, detail = _end_of(kind, path)
            signal.alarm(0)
            outside.folder = None
            if outside.seen:
                end, detail = "read outside", outside.seen[0]
            results.put((number, kind, end, detail, time.monotonic() - started))
        finally:
            signal.alarm(0)
            outside.folder = None
            shutil.rmtree(folder, ignore_errors=True)
    results.put((-1, "", "peak", "", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _end_of(kind: str, path: Path) -> tuple[str, str]:
    try:
        read_case(kind, path)
    except _TooLong:
        return "hang", traceback.format_exc()[-600:]
    except MemoryError:
        return "out of memory", traceback.format_exc()[-600:]
    except FrameError as error:
        text = str(error)
        if "\n" in text or len(text) > 2000:
            return "message of many lines", text[:300]
        return ("refused", "") if path.name in text or str(path) in text else ("refused without the file's name", text)
    except Exception:
        return "foreign exception", traceback.format_exc()[-900:]
    return "read", ""


def main() -> None:
    """Runs all cases and prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    ends: Counter[str] = Counter()
    by_kind: dict[str, Counter[str]] = {}
    examples: dict[str, list[str]] = {}
    slowest = peak = 0.0
    context = multiprocessing.get_context("spawn")
    first, last = arguments.first, arguments.first + arguments.count
    piece = max(1, min(250, -(-arguments.count // arguments.workers)))
    waiting = [(start, min(piece, last - start)) for start in range(first, last, piece)]
    running: list[tuple[Any, Any, list[int]]] = []
    while waiting or running:
        while waiting and len(running) < arguments.workers:
            start, size = waiting.pop()
            results = context.SimpleQueue()
            process = context.Process(target=work, args=(start, size, arguments.seed, results))
            process.start()
            running.append((process, results, [start, size]))
        for entry in list(running):
            process, results, place = entry
            while not results.empty():
                number, kind, end, detail, value = results.get()
                if end == "peak":
                    peak = max(peak, value)
                elif end == "begun":
                    place[1], place[0] = place[1] - (number - place[0]), number
                else:
                    ends[end] += 1
                    by_kind.setdefault(kind, Counter())[end] += 1
                    slowest = max(slowest, value)
                    if end not in ("read", "refused"):
                        examples.setdefault(end, []).append(f"case {number} ({kind}): {detail}")
            if not process.is_alive() and results.empty():
                running.remove(entry)
                if process.exitcode != 0:
                    ends["crash"] += 1
                    examples.setdefault("crash", []).append(f"case {place[0]}: exit code {process.exitcode}")
                    if place[1] > 1:
                        waiting.append((place[0] + 1, place[1] - 1))
        time.sleep(0.02)
    for end, count in ends.most_common():
        print(f"{end:<34} {count:>6}")
    print(f"slowest case {slowest:.1f} s, largest process {peak:.0f} MiB")
    for end, shown in examples.items():
        print(f"\n{end}:")
        print("\n".join(shown[:8]))
    if arguments.save:
        found = {
            "command": f"python benchmarks/fuzz_readers.py --count {arguments.count} --seed {arguments.seed}",
            "ends": dict(ends),
            "kinds": {kind: dict(counts) for kind, counts in sorted(by_kind.items())},
            "slowest_s": round(slowest, 2),
            "largest_process_mib": round(peak),
            "memory_limit_mib": MEMORY_LIMIT >> 20,
            "time_limit_s": TIME_LIMIT_S,
        }
        write_bytes_atomically(arguments.save, json_bytes(found))


if __name__ == "__main__":
    main()
