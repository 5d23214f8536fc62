"""README and docs: every command is run by something, every link and picture is there, and they speak to users."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from benchmarks.documented_commands import CHECKOUT, ELSEWHERE, Command, commands_of, documents

from graspcut.cli.verbs import build_app
from tests.own.made import run, write_dataset

COMMANDS = [command for page in documents() for command in commands_of(page)]
GUIDES = ("README.md", "docs/getting-started.md", "docs/add-a-network.md", "docs/training.md")


def test_there_are_commands_and_each_says_what_it_is() -> None:
    assert len(COMMANDS) > 80
    for command in COMMANDS:
        runs_here = command.text.startswith("graspcut ")
        assert runs_here or command.elsewhere is not None, f"{command.page}:{command.line}: nothing runs {command.text}"


@pytest.mark.parametrize(
    "command", [command for command in COMMANDS if "graspcut " in command.text], ids=lambda command: command.text
)
def test_every_graspcut_command_parses_as_it_stands_and_small(command: Command) -> None:
    for text in {command.text, command.small}:
        words = [word for word in shlex.split(text) if "=" not in word or word.startswith("-") or "/" in word]
        _, *arguments = words[words.index("graspcut") :]
        if "--config" in arguments:  # a recipe is read while the command line is put together
            arguments.remove("--config")
            arguments = [word for word in arguments if not word.endswith(".toml")]
        build_app().parse_args(arguments, exit_on_error=False, print_error=False)


def test_what_is_run_elsewhere_is_there() -> None:
    named = re.findall(r"(?:tests|benchmarks)/[\w/]+(?:\.py)?", " ".join(ELSEWHERE.values()))
    assert len(named) > 15
    for place in named:
        assert (CHECKOUT / place).exists(), place
    for command in COMMANDS:
        for script in re.findall(r"benchmarks/\w+\.py", command.text):
            assert (CHECKOUT / script).is_file(), f"{command.page}:{command.line}: {script}"
        for module in re.findall(r"-m (benchmarks\.\w+)", command.text):
            assert (CHECKOUT / f"{module.replace('.', '/')}.py").is_file(), f"{command.page}:{command.line}: {module}"
    for pattern, where in ELSEWHERE.items():
        assert any(re.search(pattern, command.text) for command in COMMANDS) or "placeholder" in where, pattern


def test_links_and_pictures_are_in_the_tree() -> None:
    for page in documents():
        text = page.read_text()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
    assert (CHECKOUT / "docs" / "pictures" / "animation.gif").stat().st_size < 1_500_000


def test_guides_speak_to_users() -> None:
    for name in GUIDES:
        text = (CHECKOUT / name).read_text()
        # The name of a recording and of its object is no target.
        told = re.sub(r"a red bar in a hand|bar_red", "", text)
        for word in (r"\bbars?\b", r"\baims?\b", r"\bmissed\b", "first plan", r"reference \d"):
            assert not re.search(word, told, re.IGNORECASE), f"{name}: {word}"
    for source in (CHECKOUT / "src").rglob("*.py"):
        assert not re.search(r"\breference \d+\.\d", source.read_text()), source


def test_the_cheap_commands_of_the_readme_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = write_dataset(tmp_path / "test")
    (data / "depth").rename(tmp_path / "my-depth-folder")
    write_dataset(tmp_path / "again")
    (tmp_path / "again" / "depth").rename(data / "depth")
    ran = 0
    for command in COMMANDS:
        if command.page == "README.md" and re.match(r"graspcut segment (?!.*--model )", command.text):
            assert run(*shlex.split(command.text)[1:]) == 0
            ran += 1
    assert ran and (tmp_path / "labels" / "overlay").is_dir()
