from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import heliodor
from heliodor.cli import GROUPS, main

SOURCE = Path(heliodor.__file__).parent


def test_public_names_are_there_and_no_others():
    assert sorted(heliodor.__all__) == sorted([*heliodor._HOMES, "__version__"])
    assert all(getattr(heliodor, name) is not None for name in heliodor.__all__)
    with pytest.raises(AttributeError):
        heliodor.nothing  # noqa: B018


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["pick", "--help"]])
def test_help_loads_no_heavy_library(words):
    code = (
        "import sys; from heliodor.cli import main; assert main(sys.argv[1:]) == 0;"
        "heavy = {'torch', 'pandas', 'scipy', 'numpy', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", [name for group in GROUPS.values() for name in group])
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: heliodor {command}")


def test_an_unknown_command_is_told_the_nearest(capsys):
    assert main(["pikc"]) == 2
    assert "did you mean 'pick'?" in capsys.readouterr().err


@pytest.mark.parametrize("room", ["preprocess/downsample", "preprocess/mixture", "training/objectives",
                                  "picking/suppression", "evaluation/matching", "evaluation/curves"])  # fmt: skip
def test_rooms_of_mathematics_know_neither_files_nor_the_command_line(room):
    text = (SOURCE / f"{room}.py").read_text()
    assert not re.search(
        r"^\s*(from|import) (argparse|pathlib|pandas|heliodor\.(files|formats|micrographs|cli))", text, re.M
    )
