"""The command line: `heliodor COMMAND ...`. Arguments become settings, settings become one library call."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from heliodor._version import __version__
from heliodor.errors import HeliodorError

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS: dict[str, dict[str, str]] = {
    "The main job": {
        "label": "label particles and judge picks on a page in the browser",
        "pick": "labels in, picks out: train on the labelled micrographs, pick every micrograph",
    },
    "Its single steps": {
        "preprocess": "downsample and normalize micrographs (alias: normalize)",
        "train": "train a network from labelled particles",
        "segment": "write score maps",
        "extract": "find particles by score and non-maximum suppression",
        "blobs": "pick without labels: round particles of a known diameter",
    },
    "Images and networks": {
        "denoise": "denoise micrographs, or train a network that does",
        "export": "write a network to a file that topaz-em loads",
    },
    "Coordinates": {
        "convert": "convert, scale, threshold, join and subtract coordinate files",
        "split": "write one coordinate file per micrograph",
    },
    "Micrographs with known truth": {
        "simulate": "make micrographs from an atomic model or a density map",
    },
    "How good is it": {
        "report": "write the report of a run again: one HTML file to look at",
        "evaluate": "compare picks with labels: precision, recall, F1, AP, error of position",
    },
}

ALIASES = {"normalize": "preprocess", "precision_recall_curve": "evaluate"}  # Topaz's names


def _overview() -> str:
    lines = [
        "usage: heliodor COMMAND [options]",
        "",
        "Particle picking for cryo-EM from a few labelled particles.",
        "",
    ]
    for title, commands in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {name:<17} {text}" for name, text in commands.items()]
        lines.append("")
    lines += [
        "  heliodor COMMAND --help   every option of a command",
        "  heliodor --version",
        "",
        "Start here:",
        "  heliodor pick micrographs/*.mrc --labels particles.star --diameter 120 -o picked/",
    ]
    return "\n".join(lines)


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults are told where there is one, and once."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        told = "default" in (action.help or "")
        if told or action.required or action.nargs == 0 or action.default in (None, ""):
            return action.help
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """argparse with `@file` arguments (one per line) and errors in one line."""

    def __init__(self, **kwargs: object) -> None:
        kwargs.setdefault("fromfile_prefix_chars", "@")
        kwargs.setdefault("formatter_class", _HelpFormatter)
        super().__init__(**kwargs)  # type: ignore[arg-type]

    def convert_arg_line_to_args(self, arg_line: str) -> list[str]:
        """Take a line of an `@file` as one argument, an empty one as none."""
        return [arg_line.strip()] if arg_line.strip() else []

    def parse_intermixed_args(self, args: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """Parse; what follows `--` is no option. argparse forgets that in the second of its two passes."""
        words = list(args)
        end = words.index("--") if "--" in words else len(words)
        paths = [f"./{word}" if word.startswith("-") else word for word in words[end + 1 :]]
        return super().parse_intermixed_args([*words[:end], *paths])

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        sys.stderr.write(f"{self.prog}: error: {message} (see {self.prog} --help)\n")
        raise SystemExit(2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 done in part, 2 not done, 130 interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name. Default: those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        sys.stdout.write(_overview() + "\n")
        return 0 if words else 2
    if words[0] in ("--version", "-V"):
        sys.stdout.write(f"heliodor {__version__}\n")
        return 0
    name = ALIASES.get(words[0], words[0])
    known = {command for commands in GROUPS.values() for command in commands}
    if name not in known:
        import difflib

        near = difflib.get_close_matches(words[0], sorted(known | set(ALIASES)), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "heliodor --help lists the commands"
        sys.stderr.write(f"heliodor: error: there is no command '{words[0]}'; {hint}\n")
        return 2
    return run_command(f"heliodor.cli.{name}", f"heliodor {words[0]}", words[1:])


def run_command(module_name: str, program: str, words: Sequence[str]) -> int:
    """Run the command of a module that has `add_arguments` and `run`; return its exit code, as `main` does.

    Where it also has `goes_on`, that says whether a second call would go on with what a first one left.
    """
    name, hint = program.split()[0], ""
    try:
        module = importlib.import_module(module_name)
        parser = Parser(prog=program, description=module.__doc__)
        module.add_arguments(parser)
        options = parser.parse_intermixed_args(words)
        if hasattr(module, "goes_on") and module.goes_on(options):
            without = " without --overwrite" if getattr(options, "overwrite", False) else ""
            hint = f", run the same command{without} to go on"
        code: int = module.run(options)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk behind it shows here
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except HeliodorError as error:
        sys.stderr.write(f"{name}: error: {error}\n")
        return 2
    except MemoryError:
        mend = "ask for smaller images or fewer workers at a time, or use a machine with more"
        sys.stderr.write(f"{name}: error: not enough memory; {mend}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted; what was finished is kept{hint}\n")
        return 130
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        return 1
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what Python still holds is not tried again at its end
        sys.stderr.write(f"{name}: error: standard output: cannot write ({error.strerror}); free some space\n")
        return 2
    return code
