"""Write the part of docs/reference.md that lists every command and option, from the parsers themselves.

scripts/reference runs this; a test fails where the file is not what this would write.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from heliodor.cli import ALIASES, GROUPS, Parser

PATH = Path(__file__).with_name("reference.md")
START = "<!-- from here on written by scripts/reference -->\n"


def parser_of(command: str) -> Parser:
    """Build a command's parser as `heliodor.cli.main` does."""
    module = importlib.import_module(f"heliodor.cli.{command}")
    parser = Parser(prog=f"heliodor {command}", description=inspect.cleandoc(module.__doc__ or ""))
    module.add_arguments(parser)
    return parser


def reference() -> str:
    """Return the whole generated part."""
    parts = []
    for title, commands in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [describe(command) for command in commands]
    return "\n".join(parts)


def describe(command: str) -> str:
    """Return a command's section: what it does, and a table of its arguments."""
    parser = parser_of(command)
    other = [alias for alias, name in ALIASES.items() if name == command]
    names = [f"Also called `heliodor {other[0]}`.\n"] if other else []
    lines = [
        f"### heliodor {command}\n",
        f"{parser.description}\n",
        *names,
        "| argument | meaning | default |",
        "|---|---|---|",
    ]
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if actions and group.title not in ("positional arguments", "options"):
            lines.append(f"| *{group.title}* | | |")
        lines += ["| " + " | ".join(row(action)) + " |" for action in actions]
    return "\n".join(lines) + "\n"


def row(action: argparse.Action) -> Iterator[str]:
    """Yield an argument's names, meaning and default."""
    value = spelled(action)
    flags = ", ".join(f"`{flag}`" for flag in action.option_strings)
    yield f"{flags} {value}".strip()
    yield (action.help or "").replace("%%", "%")
    yield default_of(action)


def default_of(action: argparse.Action) -> str:
    """Return an argument's default as text; nothing where it has none, or the help says it."""
    if action.required:
        return "**needed**"
    if action.default in (None, argparse.SUPPRESS, "") or action.nargs == 0:
        return ""
    values = action.default if isinstance(action.default, tuple) else (action.default,)
    return " ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def spelled(action: argparse.Action) -> str:
    """Return how an argument's value is written: its choices, or a name for it."""
    if action.nargs == 0:
        return ""
    if action.choices:
        return " or ".join(f"`{choice}`" for choice in action.choices)
    kinds: dict[object, str] = {float: "X", int: "N"}
    name = action.metavar or kinds.get(action.type, action.dest.upper())
    if isinstance(name, tuple):
        return " ".join(name) if action.nargs == 2 else f"{name[0]} [{name[1]}]"
    assert isinstance(name, str)
    return name + {"+": " ...", "*": " ...", "?": ""}.get(str(action.nargs), "")


def whole(text: str) -> str:
    """Return the text of reference.md with its generated part renewed."""
    return text[: text.index(START) + len(START)] + "\n" + reference()


if __name__ == "__main__":
    PATH.write_text(whole(PATH.read_text(encoding="utf-8")), encoding="utf-8")
