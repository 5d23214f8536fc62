"""Walks docs/your-own-data.md on the bundled recording: every command with its output, and the pictures of the page.

    python -m benchmarks.walk_your_own_data --work /tmp/walk --steps 30

The bundled recording is rendered and has no colour, so a network proposes the labels. The reviewer is this program:
in a real browser it accepts a frame (A) whose labels agree with the recording's true ones; where they do not, it
paints the true ones first. Writes WORK/walk.md, docs/pictures/contact-sheet.png and docs/pictures/review-page.png.
Started again it continues. Needs Debian's Chromium, playwright and the extras app and train.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from benchmarks.review_page import Server
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from graspcut.frames.dataset import DatasetReader
from graspcut.frames.images import read_colour, read_single_channel, write_image_atomically
from graspcut.labels import HAND, OBJECT, UNKNOWN
from graspcut.segmentation.demo import demo_recording_folder

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
LEAST_IOU = 0.8
SHOWN_WIDTH = 900
_FRAME = "() => document.body.dataset.frame"
_PAINT = """async ([name, labels]) => {
    const answer = await fetch(`/api/frame/${name}/label`, {method: "PUT", body: new Uint8Array(labels)})
    if (!answer.ok) throw new Error(await answer.text())
}"""
# Lightning draws its progress there, too.
_PROGRESS = re.compile(r"^(Epoch|Training|Validation|\s+val/|\s*$)")


def true_labels(name: str) -> NDArray[np.uint8]:
    """The labels that the renderer knows."""
    return read_single_channel(demo_recording_folder() / "label" / f"{name}.png", what="label map")


def agrees(mine: Path, name: str) -> bool:
    """Whether hand and object of a frame are those of the recording, on pixels that are labelled."""
    labels, truth = read_single_channel(mine / "label" / f"{name}.png", what="label map"), true_labels(name)
    known = labels != UNKNOWN
    for label in (HAND, OBJECT):
        ours, theirs = (labels == label) & known, (truth == label) & known
        if np.count_nonzero(ours & theirs) < LEAST_IOU * np.count_nonzero(ours | theirs):
            return False
    return True


def review(mine: Path) -> str:
    """Gives a verdict on every frame by keyboard, and takes a picture of the first one; what was done."""
    server = Server(mine)
    corrected = 0
    try:
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 640})
            page.goto(server.address)
            page.wait_for_function(_FRAME, timeout=60_000)
            page.wait_for_timeout(2000)
            page.screenshot(path=PICTURES / "review-page.png")
            count = len(DatasetReader(mine))
            for _ in range(count):
                name = str(page.evaluate(_FRAME))
                if not agrees(mine, name):
                    # What the brush sends when a stroke ends.
                    page.evaluate(_PAINT, [name, true_labels(name).ravel().tolist()])
                    corrected += 1
                accept(page, name)
            browser.close()
    finally:
        server.kill()
    return f"{count} accepted, {corrected} of them corrected first"


def accept(page: Page, shown: str) -> None:
    """Accepts a frame and waits for the next one, or for the word that there is none."""
    page.keyboard.press("a")
    page.wait_for_function("name => document.body.dataset.frame !== name", arg=shown, timeout=60_000)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    told: list[str] = []

    def graspcut(arguments: str) -> None:
        places = {"bundled-recording": str(demo_recording_folder())}
        words = [places.get(word, word) for word in arguments.split()]
        command = [sys.executable, "-m", "graspcut.cli", *words]
        done = subprocess.run(command, cwd=options.work, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        shown = done.stdout.replace(places["bundled-recording"], "bundled-recording")
        tell(f"$ graspcut {arguments}", *(line for line in shown.splitlines() if not _PROGRESS.match(line)))
        if done.returncode:
            raise SystemExit(f"exit code {done.returncode}")

    def tell(*lines: str) -> None:
        told.extend((*(f"    {line}".rstrip() for line in lines), ""))
        print("\n".join(lines), flush=True)
        (options.work / "walk.md").write_text("\n".join(told) + "\n")

    PICTURES.mkdir(parents=True, exist_ok=True)
    mine = options.work / "mine"
    graspcut("info bundled-recording")
    graspcut("annotate bundled-recording --out mine --from-model dense-attention-small")
    sheet = read_colour(mine / "contact-sheet.png")
    size = (SHOWN_WIDTH, round(sheet.shape[0] * SHOWN_WIDTH / sheet.shape[1]))
    write_image_atomically(
        PICTURES / "contact-sheet.png", np.asarray(cv2.resize(sheet, size, interpolation=cv2.INTER_AREA), np.uint8)
    )
    tell("$ graspcut review mine", review(mine))
    graspcut("labels follow mine")
    graspcut("split mine")
    graspcut("info mine")
    graspcut(f"train segmentation --folder run --start dense-attention-small --data mine --steps {options.steps}")
    graspcut("segment bundled-recording --model run/model --out labels")


if __name__ == "__main__":
    main()
