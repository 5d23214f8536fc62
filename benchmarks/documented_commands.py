"""Runs the commands of README and docs, small, one after the other in the order in which a reader types them.

    python benchmarks/documented_commands.py --work /tmp/commands
    python benchmarks/documented_commands.py --work /tmp/commands --only docs/add-a-network.md

Each page gets a folder with what it speaks of (recordings, folders of depth images, photographs, meshes), rendered or
drawn. A command is typed as it stands, but for its sizes (`SMALLER`): four frames instead of a thousand, one batch
instead of two thousand. Commands that need a camera, a GPU, other people's data or hours are not run here; `ELSEWHERE`
says what runs them instead, and tests/own/test_documents.py checks that there is nothing third.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CHECKOUT = Path(__file__).resolve().parent.parent

_TYPED = re.compile(r"(?:nice -n \d+ |[A-Z_]+=\S+ )*(?:graspcut|python|pip|make)\b|\.venv/bin/|\. \.venv/")

ELSEWHERE = {
    r"^make |^\. \.venv|^\.venv/bin/pre-commit": ".ci/run and whoever sets up a checkout",
    r"^pip install": "benchmarks/slim_install.py; the Makefile installs the extras",
    r"benchmarks[/.]": "the committed script itself; tests/own/test_documents.py looks for it",
    r"^python -c ": "tests/synth/test_place.py: the same calls",
    r"^graspcut record ": "tests/importing/test_realsense.py, on librealsense's software device",
    r"^graspcut live": "tests/app/test_live_server.py and tests/segmentation/test_live.py",
    r"^graspcut fetch-weights": "tests/nn: a server of its own stands in for the internet",
    r"--pretrained weights/": "tests/own/test_recipe.py, with weights that it makes",
    r"^graspcut split mine": "tests/frames/test_verdicts_and_splits.py: needs frames that somebody has accepted",
    r"^graspcut review ": "tests/app/test_server.py and tests/app/test_browser.py",
    r"^graspcut import (?!depth )": "tests/importing, on files that it writes",
    r"^graspcut (train pose-|pose |evaluate pose)": "tests/pose/test_training.py, "
    "tests/cli/test_pose.py: trained hand models, NYU",
    r"--preset paper|--encoder-weights": "tests/segmentation/test_training.py, "
    "tests/matting/test_training.py: data of others",
    r"--hand-mesh ": "tests/synth/test_skinned.py: a mesh of others",
    r"^graspcut benchmark speed|--soak ": "tests/cli/test_benchmark.py, small",
    r"^graspcut evaluate (instances|matting)": "tests/cli/test_instances.py, tests/matting/test_evaluation.py",
    r"^graspcut (train matting|train instances|benchmark segmentation)": "tests/matting/test_training.py, "
    "tests/instances/test_training.py, tests/segmentation/test_comparison.py",
    r"\b[A-Z]{4,}\b(?!=)": "a placeholder for something of the reader's",
}
"""Pattern of a command -> what runs it, where this script does not."""

SMALLER = (
    (r"--count \d+", "--count 4"),
    (r"--size \d+x\d+", "--size 160x120"),
    (r"--clip-frames \d+", "--clip-frames 2"),
    (r"--steps \d+", "--steps 1"),
    (r"--workers 2", "--workers 1"),
)
IN_ORDER = ("README.md", "docs/getting-started.md", "docs/add-a-network.md")
"""Pages whose commands are typed one after the other in one folder."""

_TRAINING = "--batch-size 2 --workers 0 --threads 1 --no-progress-bar --statistics-count 2 --validation-count 2"
_MORE = {
    r"^graspcut synth (?!matting).*--scene": "",
    r"^graspcut synth (?!matting)(?!.*--size)": "--size 160x120",
    r"^graspcut train segmentation(?!.*recipe\.toml$)": _TRAINING,
    r"^graspcut export .*int8": "--largest-loss 100",
    r"^graspcut adapt (?!.*--quick)": "--rounds 1 --steps 2",
    r"^graspcut doctor": "--no-time",
}


@dataclass(frozen=True)
class Command:
    """A command of a document.

    Attributes:
        page: the document, below the checkout.
        line: its number there.
        text: as it stands, without the comment behind it.
    """

    page: str
    line: int
    text: str

    @property
    def elsewhere(self) -> str | None:
        """What runs it instead of this script."""
        return next((where for pattern, where in ELSEWHERE.items() if re.search(pattern, self.text)), None)

    @property
    def small(self) -> str:
        """What this script types."""
        text = self.text
        for pattern, smaller in SMALLER:
            text = re.sub(pattern, smaller, text)
        more = next((added for pattern, added in _MORE.items() if re.search(pattern, text)), "")
        # What a command says itself is not said twice.
        pairs = re.findall(r"(--\S+)(?: (?!--)(\S+))?", more)
        return " ".join([text, *(f"{name} {value}".strip() for name, value in pairs if f"{name} " not in f"{text} ")])


def documents() -> list[Path]:
    """README, CONTRIBUTING and all pages of docs."""
    return [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted((CHECKOUT / "docs").glob("*.md"))]


def commands_of(page: Path) -> list[Command]:
    """The commands of a page: lines of its indented and fenced blocks that begin with a program."""
    found, fenced = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("```"):
            fenced = not fenced
        elif (fenced or line.startswith("    ")) and _TYPED.match(line.strip()):
            text = re.sub(r"\s+(#|&&).*$", "", line.strip())
            found.append(Command(str(page.relative_to(CHECKOUT)), number, text))
    return found


def prepare(folder: Path) -> None:
    """What the pages speak of: recordings, folders of depth images, labelled folders, pictures, a mesh."""
    from graspcut.frames.recording import RecordingWriter
    from graspcut.synth.generator import FrameGenerator, SynthConfig

    folder.mkdir(parents=True)
    (folder / "examples").symlink_to(CHECKOUT / "examples")
    config = SynthConfig(width=160, height=120, clip_frames=6, sensor="sr300")
    for number, name in enumerate(("my-recording", "another-recording", "empty", "my-empty-place")):
        generator = FrameGenerator(config, 4242 + number)
        frames = [generator[index].frame for index in range(6)]
        with RecordingWriter(folder / name, frames[0].camera, 0.125, frames[0].colour_camera) as writer:
            for frame in frames:
                raw = np.rint(frame.depth_mm / 0.125).astype(np.uint16)
                writer.append(raw, frame.colour, frame.timestamp_s)
        if number == 0:
            depths = [np.rint(frame.depth_mm).astype(np.uint16) for frame in frames]
            colours = [cv2.resize(frame.colour, (160, 120))[..., ::-1] for frame in frames if frame.colour is not None]
    for place in ("my-depth-folder", "my-folder", "images", "depth"):
        (folder / place).mkdir()
        for index, depth in enumerate(depths):
            cv2.imwrite(str(folder / place / f"{index}.png"), depth)
    (folder / "rgb").mkdir()
    for index, colour in enumerate(colours):
        cv2.imwrite(str(folder / "rgb" / f"{index}.png"), colour)
    shutil.copy(folder / "my-folder" / "0.png", folder / "some-depth-file.png")
    for place in ("frames", "test", "my-dataset", "mine", "more-of-mine", "parts", "place"):
        _rendered(folder / place)
    (folder / "true-labels").mkdir()
    for index, label in enumerate(sorted((folder / "my-dataset" / "label").iterdir())):
        shutil.copy(label, folder / "true-labels" / f"{index}.png")  # named as the frames of my-folder are
    _photographs(folder)
    corners = ((0, 0, 0), (60, 0, 0), (0, 90, 0), (0, 0, 30))
    faces = ((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))
    mesh = "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + "".join(
        f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in faces
    )
    (folder / "part.obj").write_text(mesh)
    _convert_mesh(folder)
    first = f"train segmentation --folder runs/first --data frames --steps 1 {_TRAINING}"
    subprocess.run([sys.executable, "-m", "graspcut.cli", *first.split()], cwd=folder, capture_output=True, check=True)
    recipe = (CHECKOUT / "docs" / "training.md").read_text().split("```toml\n")[1].split("```")[0]
    small = 'network_argument = ["trunk_width=4", "squeeze_width=4", "decoder_widths=[8, 8, 8, 8, 4, 4]"]\n'
    (folder / "recipe.toml").write_text(recipe.replace("[loss]", f"{small}\n[loss]"))


def _rendered(folder: Path) -> None:
    from graspcut.synth.dataset import generate_dataset
    from graspcut.synth.generator import SynthConfig

    generate_dataset(
        SynthConfig(width=160, height=120, sensor="sr300"), seed=len(folder.name), count=6, out=folder, workers=1
    )
    # As if it were the reader's own: `graspcut synth --out frames` may write another one over it.
    (folder / "synth.json").unlink()


def _photographs(folder: Path) -> None:
    row, column = np.mgrid[:64, :80]
    distance = np.hypot(row - 32, column - 40)
    alpha = np.clip((24 - distance) / 4, 0, 1)
    photo = (alpha[..., None] * (40, 90, 220) + (1 - alpha[..., None]) * (200, 180, 60)).astype(np.uint8)
    trimap = np.where(distance < 18, 255, np.where(distance > 28, 0, 128)).astype(np.uint8)
    for place in ("photos", "trimaps"):
        (folder / place).mkdir()
    for name, image in (("photo", photo), ("trimap", trimap), ("alpha", np.rint(255 * alpha).astype(np.uint8))):
        cv2.imwrite(str(folder / f"{name}.png"), image)
    cv2.imwrite(str(folder / "photos" / "a.png"), photo)
    cv2.imwrite(str(folder / "trimaps" / "a.png"), trimap)


def _convert_mesh(folder: Path) -> None:
    import trimesh

    mesh: Any = trimesh.load(str(folder / "part.obj"), force="mesh")
    mesh.export(str(folder / "part.stl"))
    mesh.apply_scale(0.001)
    for name in ("part.glb", "other.glb"):
        mesh.export(str(folder / name))


def clear_the_way(folder: Path, command: Command) -> None:
    """Removes what a command is to make anew, where `prepare` has put something of that name.

    Pages other than `IN_ORDER` name the same folder in alternatives, of which a reader takes one.
    """
    words = shlex.split(command.text)
    made_anew = ["graspcut synth", "graspcut annotate", "graspcut import", "graspcut train"]
    made_anew += [] if command.page in IN_ORDER else ["graspcut segment", "graspcut adapt", "graspcut matte"]
    for option in ("--out", "--folder"):
        if option in words and command.text.startswith(tuple(made_anew)):
            made = folder / words[words.index(option) + 1]
            if made.is_dir():
                shutil.rmtree(made)


def main() -> None:
    """Runs all pages, or one; exit code 1 if a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that is made, one below it for each page")
    parser.add_argument("--only", help="a page, such as docs/training.md")
    options = parser.parse_args()
    template = options.work / "template"
    if not template.exists():
        prepare(template)
    failed = 0
    for page in documents():
        if options.only not in (None, str(page.relative_to(CHECKOUT))):
            continue
        commands = [command for command in commands_of(page) if command.elsewhere is None]
        folder = options.work / page.stem
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(template, folder, symlinks=True)
        for command in commands:
            clear_the_way(folder, command)
            words = shlex.split(command.small)
            if words[0] == "graspcut":
                words = [sys.executable, "-m", "graspcut.cli", *words[1:]]
            begin = time.monotonic()
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            verdict = "ok" if done.returncode == 0 else f"EXIT {done.returncode}"
            print(
                f"{verdict:<7} {time.monotonic() - begin:5.1f} s  {command.page}:{command.line}  {command.small}",
                flush=True,
            )
            if done.returncode:
                failed += 1
                print(done.stderr.strip()[-600:], flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
