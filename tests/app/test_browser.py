"""The review page in a real browser (Debian's Chromium): by keyboard, over reloads and kills of the server."""

# ruff: noqa: E402  (what follows a skip)

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the extra app is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from graspcut.frames.dataset import DatasetReader, DatasetWriter
from graspcut.frames.frame import Frame
from graspcut.frames.labelled import LabelledFrame
from graspcut.frames.verdicts import VerdictStore
from graspcut.labels import BACKGROUND, HAND, OBJECT
from tests.app.review_data import ServerProcess, write_annotated

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: sudo apt install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_annotated(tmp_path)


@pytest.fixture
def server(dataset: Path) -> Iterator[ServerProcess]:
    running = ServerProcess(dataset)
    yield running
    running.kill()


@pytest.fixture
def page(browser: Browser, server: ServerProcess) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 700})
    opened = context.new_page()
    opened.goto(server.address)
    on_frame(opened, "000005")
    yield opened
    context.close()


def on_frame(page: Page, name: str) -> None:
    page.wait_for_function("name => document.body.dataset.frame === name", arg=name, timeout=20_000)


def saved(page: Page) -> None:
    page.wait_for_function("() => document.getElementById('saving').textContent === 'saved'", timeout=20_000)


def verdicts(dataset: Path) -> dict[str, str]:
    store = VerdictStore(dataset)
    given = store.all()
    store.close()
    assert len({verdict.frame for verdict in given}) == len(given), "no verdict is double"
    return {verdict.frame: verdict.verdict for verdict in given}


def put_cursor(page: Page, x: int, y: int) -> None:
    page.evaluate("([x, y]) => { review.cursor.x = x; review.cursor.y = y; }", [x, y])


def test_accept_discard_next_undo(page: Page, dataset: Path) -> None:
    page.keyboard.press("a")
    on_frame(page, "000002")
    page.keyboard.press("d")
    on_frame(page, "000000")
    page.keyboard.press("n")
    on_frame(page, "000001")
    saved(page)
    assert verdicts(dataset) == {"000005": "accept", "000002": "discard"}
    assert "2 of 12 reviewed, 1 accepted" in page.inner_text("#progress")
    page.keyboard.press("u")
    on_frame(page, "000002")
    saved(page)
    assert verdicts(dataset) == {"000005": "accept"}
    page.keyboard.press("a")
    saved(page)
    assert verdicts(dataset) == {"000005": "accept", "000002": "accept"}


def test_paint_fill_threshold_and_undo(page: Page, dataset: Path) -> None:
    before = DatasetReader(dataset)[5].labels
    put_cursor(page, 20, 20)
    for key in ("2", "]", "]", " "):
        page.keyboard.press(key)
    saved(page)
    painted = DatasetReader(dataset)[5].labels
    assert painted[20, 20] == OBJECT and painted[20, 28] == OBJECT and painted[20, 29] == before[20, 29]
    page.keyboard.press("u")
    saved(page)
    assert np.array_equal(DatasetReader(dataset)[5].labels, before)
    rows, columns = np.nonzero(before == HAND)
    put_cursor(page, int(columns[-1]), int(rows[-1]))
    page.keyboard.press("2")
    page.keyboard.press("f")
    saved(page)
    filled = DatasetReader(dataset)[5].labels
    assert not (filled == HAND).any() and (filled[before == BACKGROUND] == BACKGROUND).all()
    # The bar is at 300 mm, the hand at 420: a window that ends before the hand.
    page.keyboard.press("t")
    page.evaluate("() => { review.near = 250; review.far = 350; review.isFarSet = true; }")
    page.keyboard.press("Enter")
    saved(page)
    cut = DatasetReader(dataset)[5].labels
    assert (cut[before == HAND] == BACKGROUND).all() and (cut[before == OBJECT] == OBJECT).all()
    assert "mm" in page.inner_text("#value")


def test_zoom_and_position_stay_and_the_cursor_moves_by_keys(page: Page) -> None:
    page.keyboard.press("+")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("ArrowDown")
    before = page.evaluate("() => [review.view.zoom, review.view.x, review.view.y, review.cursor.x, review.cursor.y]")
    page.keyboard.press("a")
    on_frame(page, "000002")
    after = page.evaluate("() => [review.view.zoom, review.view.x, review.view.y, review.cursor.x, review.cursor.y]")
    assert before == after and before[0] > 1


def test_carry_to_the_next_frames(page: Page, dataset: Path) -> None:
    before = DatasetReader(dataset)[6].labels
    rows, columns = np.nonzero(DatasetReader(dataset)[5].labels == HAND)
    put_cursor(page, int(columns[-1]), int(rows[-1]))
    for key in ("4", "f", "p"):
        page.keyboard.press(key)
    page.wait_for_function("() => document.getElementById('message').textContent.includes('corrected')", timeout=20_000)
    assert not np.array_equal(DatasetReader(dataset)[6].labels, before)
    page.keyboard.press("u")
    page.keyboard.press("u")
    saved(page)
    assert np.array_equal(DatasetReader(dataset)[6].labels, before)


def test_nothing_is_lost_when_server_and_page_die(page: Page, server: ServerProcess, dataset: Path) -> None:
    page.keyboard.press("a")
    on_frame(page, "000002")
    saved(page)
    server.kill()
    # Given while the server is dead: kept by the page, over a reload too.
    page.keyboard.press("d")
    page.wait_for_function("() => document.getElementById('saving').textContent.includes('not saved yet')")
    assert verdicts(dataset) == {"000005": "accept"}
    server.start()
    page.reload()
    saved(page)
    on_frame(page, "000000")
    assert verdicts(dataset) == {"000005": "accept", "000002": "discard"}
    while (shown := page.evaluate("() => document.body.dataset.frame")) != "":
        page.keyboard.press("a")
        page.keyboard.press("a")  # in the same moment: it must not count for this frame again
        page.wait_for_function("name => document.body.dataset.frame !== name", arg=shown, timeout=20_000)
    saved(page)
    assert len(verdicts(dataset)) == 12
    assert "every frame has a verdict" in page.inner_text("#frame")


def test_two_reviewers_see_different_frames(page: Page, browser: Browser, server: ServerProcess) -> None:
    other = browser.new_context()
    second = other.new_page()
    second.goto(server.address)
    second.wait_for_function("() => document.body.dataset.frame", timeout=20_000)
    assert second.evaluate("() => document.body.dataset.frame") != "000005"
    other.close()


def test_depth_alone_has_no_empty_pane(browser: Browser, tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "dark", depth_unit_mm=1.0, description={})
    depth = np.full((48, 64), 500, np.float32)
    writer.write(0, LabelledFrame(Frame(depth), np.ones((48, 64), np.uint8)))
    writer.finish(1)
    running = ServerProcess(tmp_path / "dark")
    try:
        page = browser.new_page(viewport={"width": 1000, "height": 600})
        page.goto(running.address)
        on_frame(page, "000000")
        page.wait_for_function("() => document.getElementById('overlay').width > 400")
        assert not page.is_visible("#colour") and page.is_visible("#depth")
        page.keyboard.press("m")
        page.wait_for_function("() => document.getElementById('overlay').width > 900")
        assert not page.is_visible("#depth")
        page.close()
    finally:
        running.kill()
