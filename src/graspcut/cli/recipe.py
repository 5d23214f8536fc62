"""Recipe files: the options of `graspcut train ...` in a TOML file, `--config recipe.toml`.

    [network]
    network = "dense-attention-seg"
    attention = "mul"

    [loss]
    class_weights = [1, 1, 1.6]

Keys are the names of the options, with _ or -; a table is a heading of --help. What is typed wins over the file.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from cyclopts import App, Group

from graspcut.cli import UsageError

CONFIG_OPTION = "--config"
RECIPE_NAME = "recipe.toml"

GROUPS = {
    table: Group(heading, sort_key=position)
    for position, (table, heading) in enumerate(
        (
            ("training", "What is trained"),
            ("data", "Data and length"),
            ("network", "Network"),
            ("loss", "Loss"),
            ("optimisation", "Optimiser and schedule"),
            ("augmentation", "Augmentation"),
            ("run", "Where it runs"),
        )
    )
}
"""Tables of a recipe file, and the headings they stand for."""

_NOT_STORED = ("folder", "accept_changes", "stop_after_steps", "progress_bar")


def with_recipe(app: App, arguments: Sequence[str]) -> list[str]:
    """The command line with the options of its recipe file in it.

    Args:
        app: the whole command line.
        arguments: what was typed after `graspcut`.

    Raises:
        UsageError: the file is missing, no TOML, or has keys that are no options; says what may have been meant.
    """
    typed = list(arguments)
    path = _config_path(typed)
    if len(typed) < 2 or typed[0] != "train" or path is None:
        return typed
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{CONFIG_OPTION} {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{CONFIG_OPTION} {path} is no TOML file: {error}") from error
    options = _options(app, typed[1])
    given = {token.partition("=")[0] for token in typed}
    added: list[str] = []
    for table, key, value in _entries(recipe):
        name = f"--{key.replace('_', '-')}"
        if table not in (None, *GROUPS) or name not in options or name == CONFIG_OPTION:
            raise UsageError(_unknown(path, table, key, options))
        argument = options[name]
        own_table = _table_of(argument)
        if table is not None and table != own_table:
            raise UsageError(f"{path}: {key} is in the table [{table}], expected it in [{own_table}]")
        if not given.intersection(argument.names):
            added += _tokens(argument, name, value, path)
    return [*typed, *added]


def _config_path(typed: Sequence[str]) -> Path | None:
    for position, token in enumerate(typed):
        if token == CONFIG_OPTION and position + 1 < len(typed):
            return Path(typed[position + 1])
        if token.startswith(f"{CONFIG_OPTION}="):
            return Path(token.partition("=")[2])
    return None


def _options(app: App, verb: str) -> dict[str, Any]:
    """All options of `graspcut train VERB` by name."""
    try:
        command = app["train"][verb]
    except KeyError:
        return {}
    arguments = command.assemble_argument_collection(parse_docstring=False)
    return {name: argument for argument in arguments if argument.show for name in argument.names}


def _table_of(argument: Any) -> str:
    heading = argument.parameter.group[0].name
    return next((table for table, group in GROUPS.items() if group.name == heading), "run")


def _entries(recipe: Mapping[str, Any]) -> list[tuple[str | None, str, Any]]:
    """(table, key, value); the table is None for keys above all tables."""
    found: list[tuple[str | None, str, Any]] = []
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            found += [(name, key, inner) for key, inner in value.items()]
        else:
            found.append((None, name, value))
    return found


def _unknown(path: Path, table: str | None, key: str, options: Mapping[str, Any]) -> str:
    if table is not None and table not in GROUPS:
        return f"{path}: there is no table [{table}]{_meant(table, list(GROUPS))}. Tables: {', '.join(GROUPS)}"
    names = [name[2:].replace("-", "_") for name in options if name != CONFIG_OPTION]
    return f"{path}: {key} is no option of this command{_meant(key, names)}. See --help for all of them"


def _meant(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word.replace("-", "_"), known, 1)
    return f" (did you mean {close[0]}?)" if close else ""


def _tokens(argument: Any, name: str, value: Any, path: Path) -> list[str]:
    if isinstance(value, bool):
        negative = f"--no-{name[2:]}"
        if value or negative in argument.names:
            return [name if value else negative]
        return []
    if isinstance(value, Mapping):
        raise UsageError(f"{path}: {name[2:]} is a table, expected a value")
    if not isinstance(value, list):
        return [f"{name}={value}"]
    texts = [str(entry) for entry in value]
    _, repeats = argument.token_count()
    return [token for text in texts for token in (f"{name}={text}",)] if repeats else [name, *texts]


def recipe_text(parts: Mapping[str, Any]) -> str:
    """The recipe file with which the same training can be started in another folder.

    Args:
        parts: table -> dataclass; values that are the defaults are left out.
    """
    lines = []
    for table, part in parts.items():
        entries = [
            f"{field.name} = {_toml(value)}"
            for field in fields(part)
            if field.name not in _NOT_STORED
            and (value := getattr(part, field.name)) is not None
            and (field.default is MISSING or value != field.default)
        ]
        if entries:
            lines += [f"[{table}]", *entries, ""]
    return "\n".join(lines)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    text = str(value.resolve()) if isinstance(value, Path) else str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
