"""The list of verbs, their help, and how the command ends."""

from __future__ import annotations

import shlex
from pathlib import Path

import cyclopts
import pytest

import graspcut
from graspcut.cli import main
from graspcut.cli.options import parse_size
from graspcut.cli.verbs import VERBS, Verb, build_app


def run(arguments: list[str]) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_help_with_an_example(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*verb.name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert verb.help.split("\n")[0] in " ".join(shown.split())
    assert "Example:" in shown
    for line in verb.example.splitlines():
        assert line in shown


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_example_can_be_parsed(verb: Verb) -> None:
    for line in verb.example.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "graspcut"
        # Parsing only: the verb is found and all of its options exist and convert.
        build_app().parse_args(arguments, exit_on_error=False, print_error=False)


def test_a_wrong_example_would_be_noticed() -> None:
    with pytest.raises(cyclopts.CycloptsError):
        build_app().parse_args(
            ["segment", "a.png", "--out", "b", "--unit", "1"], exit_on_error=False, print_error=False
        )


def test_help_lists_all_verbs_under_their_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heading = {}
    task = ""
    for line in lines:
        if line.startswith("╭─ "):
            task = line.strip("╭─╮ ")
        elif line.startswith("│ ") and line[2] != " ":
            heading[line[2:].split()[0]] = task
    for verb in VERBS:
        assert heading[verb.name.split()[0]] == verb.task


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == graspcut.__version__


@pytest.mark.parametrize(
    "arguments",
    [
        ["cut"],
        ["segment"],
        ["segment", "a.png"],
        ["segment", "a.png", "--out", "b", "--unit", "1"],
        ["synth", "--count", "many", "--out", "b"],
        ["synth", "--count", "3", "--out", "b", "--size", "640"],
        ["synth", "--count", "3", "--out", "b", "--sensor", "d435"],
    ],
)
def test_wrong_typing_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_library_errors_exit_with_1_and_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(tmp_path / "missing.png")]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("error: ")
    assert "missing.png" in shown.err and "does not exist" in shown.err
    assert "Traceback" not in shown.err


def test_traceback_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRASPCUT_TRACEBACK", "1")
    with pytest.raises(graspcut.FrameError):
        main(["info", str(tmp_path / "missing.png")])


@pytest.mark.parametrize(("text", "size"), [("640x480", (640, 480)), (" 320 X 240 ", (320, 240))])
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["640", "640x", "0x480", "640x-1", "6.4x4", "640x480x3", ""])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="640x480"):
        parse_size(text)
