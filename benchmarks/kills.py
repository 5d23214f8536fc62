"""Kills commands at random moments and continues them: nothing may be lost, half written, or other than without kills.

    python benchmarks/kills.py segment --kills 100 --save docs/results/kills_segment.json
    python benchmarks/kills.py synth --kills 100 --save docs/results/kills_synth.json

A command runs once undisturbed. Then it is started again and again on a fresh folder, killed (SIGKILL) after a random
part of that time, and continued until it ends by itself; then the next folder. After every kill each file that is there
is compared with the undisturbed run's, files that were there before must still be there, and the killed command's other
processes must end within 15 s. At the end all files are compared, summary.json without the times of frames.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from graspcut.frames.images import encode_image
from graspcut.frames.json_files import write_json_atomically

LONGEST_ENDING_S = 15.0


@dataclass
class Counts:
    """What happened.

    Attributes:
        kills: commands that were killed before they ended.
        folders: results that were completed.
        files: final files compared with the undisturbed run's.
        different: of these, files with other bytes.
        half: files with other bytes that were there right after a kill.
        lost: files that were there before a kill and not after the next.
        refused: continued commands that ended with an error.
        survivors: kills after which a process of the command lived for more than 15 s.
        litter: temporary files in completed folders.
    """

    kills: int = 0
    folders: int = 0
    files: int = 0
    different: int = 0
    half: int = 0
    lost: int = 0
    refused: int = 0
    survivors: int = 0
    litter: int = 0


def segment_command(place: Path, frames: int) -> Callable[[Path], list[str]]:
    """`graspcut segment` over rendered-like frames: slopes with a box before them."""
    folder = place / "frames"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(frames):
        depth = (700 + np.arange(64)[None, :] + generator.integers(0, 3, (48, 64))).astype(np.uint16)
        depth[10:30, 10 + number % 20 : 30 + number % 20] = 450
        (folder / f"{number:04d}.png").write_bytes(encode_image(depth, ".png"))
    return lambda out: [
        "segment", str(folder), "--out", str(out), "--depth-unit-mm", "1", "--focal-px", "48", "--overlay",
        "--threads", "2",
    ]  # fmt: skip


def synth_command(place: Path, frames: int) -> Callable[[Path], list[str]]:
    """`graspcut synth` with two worker processes."""
    return lambda out: [
        "synth", "--count", str(frames), "--out", str(out), "--size", "96x72", "--seed", "5", "--workers", "2",
    ]  # fmt: skip


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """The command in a process group of its own."""
    command = [sys.executable, "-m", "graspcut.cli", *arguments]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of all files but temporary ones, by path."""
    return {
        str(path.relative_to(folder)): _plain(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _plain(path: Path) -> bytes:
    if path.name != "summary.json":
        return path.read_bytes()
    summary = json.loads(path.read_bytes())
    for row in summary["frames"]:
        row.pop("milliseconds", None)
    return json.dumps(summary, sort_keys=True).encode()


def group_has_ended(group: int) -> bool:
    """Whether all processes of a group end within the time they have."""
    waited_until = time.monotonic() + LONGEST_ENDING_S
    while time.monotonic() < waited_until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False


def kill_and_continue(command: Callable[[Path], list[str]], place: Path, kills: int, seed: int) -> Counts:
    """See the module."""
    chance, counts = random.Random(seed), Counts()
    whole = place / "whole"
    begun = time.monotonic()
    process = start(command(whole))
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors.decode())
    duration_s = time.monotonic() - begun
    expected = contents(whole)
    # Names that are rewritten while a command goes on: only their last content is compared.
    changing = {name for name in expected if name.endswith((".json", ".jsonl")) and "/" not in name}
    while counts.kills < kills:
        out = place / f"out-{counts.folders}"
        before: set[str] = set()
        while True:
            begun = time.monotonic()
            process = start(command(out))
            try:
                _, errors = process.communicate(timeout=chance.uniform(0.0, duration_s))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                counts.kills += 1
                counts.survivors += not group_has_ended(process.pid)
                found = contents(out) if out.is_dir() else {}
                counts.half += sum(found[name] != expected.get(name) for name in found.keys() - changing)
                counts.lost += len(before - found.keys())
                before = set(found)
                continue
            if process.returncode:
                counts.refused += 1
                print(errors.decode(), file=sys.stderr)
            # Other work on the machine comes and goes: the times of kills follow.
            duration_s = 0.5 * (duration_s + time.monotonic() - begun)
            break
        counts.folders += 1
        counts.litter += sum(path.name.startswith(".") for path in out.rglob("*"))
        found = contents(out)
        counts.files += len(expected)
        counts.different += sum(found.get(name) != expected.get(name) for name in found.keys() | expected.keys())
        shutil.rmtree(out)
        print(f"{counts.kills} kills, {counts.folders} folders, {counts.different + counts.half} faults", flush=True)
    return counts


COMMANDS = {"segment": segment_command, "synth": synth_command}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graspcut-kills-") as temporary:
        place = Path(temporary)
        counts = kill_and_continue(COMMANDS[options.command](place, options.frames), place, options.kills, options.seed)
    found = {"command": options.command, "frames": options.frames, "seed": options.seed, **asdict(counts)}
    print(json.dumps(found, indent=1))
    if options.save is not None:
        write_json_atomically(options.save, found)


if __name__ == "__main__":
    main()
