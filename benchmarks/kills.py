"""Kills commands at random moments and continues them: nothing may be lost, half written, or other than without kills.

    python -m benchmarks.kills segment --kills 100 --save docs/results/kills_segment.json
    python -m benchmarks.kills synth --kills 100 --save docs/results/kills_synth.json

A command runs undisturbed. Then it is started again and again on a fresh folder, killed (SIGKILL) after a random
part of that work (see `kill_moments.py`), and continued until it ends by itself; then the next folder. After every
kill each file that is there is compared with the undisturbed run's, files that were there before must still be there,
and the killed command's other processes must end within 15 s. At the end all files are compared, summary.json without
the times of frames. The counts are saved after every folder, and the same command with the same --save goes on from
there.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from benchmarks.kill_moments import Ending, run_and_kill

from graspcut.frames.images import encode_image
from graspcut.frames.json_files import read_json, write_json_atomically


@dataclass
class Counts:
    """What happened.

    Attributes:
        kills: commands that were killed before they ended.
        amid: of these, kills after which files lay in the folder, finished or temporary.
        folders: results that were completed.
        files: final files compared with the undisturbed run's.
        different: of these, files with other bytes.
        half: files with other bytes that were there right after a kill.
        lost: files that were there before a kill and not after the next.
        refused: continued commands that ended with an error.
        stalled: commands that lived on without working (see `kill_moments.py`).
        survivors: kills after which a process of the command lived for more than 15 s.
        litter: temporary files in completed folders.
    """

    kills: int = 0
    amid: int = 0
    folders: int = 0
    files: int = 0
    different: int = 0
    half: int = 0
    lost: int = 0
    refused: int = 0
    stalled: int = 0
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


def kill_and_continue(
    command: Callable[[Path], list[str]], place: Path, counts: Counts, kills: int, seed: int, save: Callable[[], None]
) -> None:
    """See the module; adds to the counts."""

    def run(out: Path, kill_after_s: float | None) -> Ending:
        arguments = [sys.executable, "-m", "graspcut.cli", *command(out)]
        return run_and_kill(arguments, kill_after_s, place / "output.txt")

    # Twice: the first also compiles and fills caches, which is no part of the others' work.
    for whole in (place / "first", place / "whole"):
        ending = run(whole, None)
        if ending.code or ending.stalled:
            raise RuntimeError(ending.output)
    expected = contents(whole)
    # Names that are rewritten while a command goes on: only their last content is compared.
    changing = {name for name in expected if name.endswith((".json", ".jsonl")) and "/" not in name}
    while counts.kills < kills:
        chance = random.Random(f"{seed} {counts.folders}")
        out = place / f"out-{counts.folders}"
        before: set[str] = set()
        while (last := run(out, chance.uniform(0.0, ending.worked_s))).was_killed or last.stalled:
            counts.kills += last.was_killed
            counts.stalled += last.stalled
            counts.survivors += last.survived
            found = contents(out) if out.is_dir() else {}
            counts.half += sum(found[name] != expected.get(name) for name in found.keys() - changing)
            counts.amid += any(path.is_file() for path in out.rglob("*"))
            counts.lost += len(before - found.keys())
            before = set(found)
        if last.code:
            counts.refused += 1
            print(last.output, file=sys.stderr)
        counts.folders += 1
        counts.litter += sum(path.name.startswith(".") for path in out.rglob("*"))
        found = contents(out)
        counts.files += len(expected)
        counts.different += sum(found.get(name) != expected.get(name) for name in found.keys() | expected.keys())
        shutil.rmtree(out)
        save()
        print(json.dumps(asdict(counts)), flush=True)


COMMANDS = {"segment": segment_command, "synth": synth_command}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=sorted(COMMANDS))
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="JSON")
    options = parser.parse_args()
    settings = {"command": options.command, "frames": options.frames, "seed": options.seed}
    counts = Counts()
    if options.save is not None and options.save.exists():
        earlier = read_json(options.save)
        if {name: earlier.get(name) for name in settings} != settings:
            raise SystemExit(f"{options.save} is of another run; give another file")
        counts = Counts(**{field.name: earlier[field.name] for field in fields(Counts)})

    def save() -> None:
        if options.save is not None:
            write_json_atomically(options.save, {**settings, **asdict(counts)})

    with tempfile.TemporaryDirectory(prefix="graspcut-kills-") as temporary:
        place = Path(temporary)
        command = COMMANDS[options.command](place, options.frames)
        kill_and_continue(command, place, counts, options.kills, options.seed, save)
    print(json.dumps({**settings, **asdict(counts)}, indent=1))


if __name__ == "__main__":
    main()
