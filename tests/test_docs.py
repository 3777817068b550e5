"""The documentation does what it says: commands run, links lead somewhere, the reference is that of the parsers.

Commands are run as they stand, with one exception: SHORT is added to those that train, since what is tested here is the
words and not the quality of the picks.
"""

import argparse
import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest

from heliodor.cli import ALIASES, GROUPS, main
from heliodor.networks import load_network

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSED_ONLY = "<!-- parsed only -->\n"
SHORT = {
    "pick": ["--epochs", "1", "--epoch-size", "10", "--expected-particles", "170"],
    "train": ["--epoch-size", "2"],
}
BLOCK = re.compile(rf"({PARSED_ONLY})?^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: Path) -> list[tuple[str, str, bool]]:
    """Kind, text, and whether it is only parsed, of the blocks of a document."""
    found = BLOCK.findall(document.read_text(encoding="utf-8"))
    return [(kind, text, bool(parsed_only)) for parsed_only, kind, text in found]


def commands(text: str) -> list[list[str]]:
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line and not line.startswith("#")]


def load(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make_reference = load("make_reference")


def parse(words: list[str]) -> argparse.Namespace:
    assert words[0] == "heliodor", f"not a command of heliodor: {words}"
    return make_reference.parser_of(ALIASES.get(words[1], words[1])).parse_intermixed_args(words[2:])


def run(words: list[str]) -> None:
    parse(words)
    trains = words[1] != "pick" or "--labels" in words
    assert main([*words[1:], *(SHORT.get(words[1], []) if trains else [])]) == 0, words


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working folder with the example, and the results of the commands of scripts/demo."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "examples", folder / "examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in demo():
            run(words)
    return folder


def demo() -> list[list[str]]:
    text = (ROOT / "scripts" / "demo").read_text(encoding="utf-8")
    return commands("\n".join(line for line in text.splitlines() if line.startswith("heliodor ")))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_parse(document):
    for kind, text, _ in blocks(document):
        if kind == "sh":
            for words in commands(text):
                parse(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_blocks_run(document, folder, monkeypatch):
    todo = [(kind, text) for kind, text, parsed_only in blocks(document) if not parsed_only]
    monkeypatch.chdir(folder)
    for kind, text in todo:
        if kind == "python":
            exec(compile(text, str(document), "exec"), {})
        else:
            for words in commands(text):
                run(words)


def test_tutorial_has_the_commands_of_the_demo():
    tutorial = [
        words for kind, text, _ in blocks(ROOT / "docs/tutorial.md") if kind == "sh" for words in commands(text)
    ]
    assert len(demo()) == 2
    assert all(words in tutorial for words in demo())


def test_demo_writes_what_the_reference_lists(folder):
    text = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    section = text.split("## Results of heliodor pick")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `(\S+)` \|", section, re.MULTILINE))
    there = {path.name for path in (folder / "demo-output").iterdir() if path.is_file()}
    assert listed == there | {"micrographs/NAME.star", "candidates/NAME.star"}
    assert len(list((folder / "demo-output/micrographs").glob("*.star"))) == 8


def test_demo_has_labels_enough_to_train_by_pu(folder):
    training = load_network(folder / "demo-output/model.safetensors")[1]["training"]
    assert training["method"] == "PU"
    assert training["pi"] < training["pi_of_all"] < 2 * training["pi"]


def test_reference_is_that_of_the_parsers():
    text = make_reference.PATH.read_text(encoding="utf-8")
    assert text == make_reference.whole(text), "options changed: run scripts/reference"


def test_reference_links_every_command():
    text = make_reference.PATH.read_text(encoding="utf-8")
    for name in (name for names in GROUPS.values() for name in names):
        assert f"[{name}](#heliodor-{name})" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        if path.startswith("http"):
            continue
        place = document.parent / path if path else document
        assert place.exists(), target
        if heading:
            assert heading in anchors(place), target


def anchors(document: Path) -> set[str]:
    """Anchors that headings get: lower case, spaces as hyphens, other signs gone."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_that_are_named_exist(document):
    for name in re.findall(
        r"\b((?:scripts|benchmarks|docs|examples|dev)/[\w./-]*\w)", document.read_text(encoding="utf-8")
    ):
        assert (ROOT / name).exists() or (document.parent / name).exists(), name
