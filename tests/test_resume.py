"""Commands that score many micrographs go on where they were interrupted."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import torch

from heliodor.cli import main
from heliodor.errors import OutputError
from heliodor.networks import Classifier, NetworkSettings, save_network
from heliodor.picking import scoring, stream
from heliodor.picking.journal import Journal
from heliodor.picks import Picks


@pytest.fixture
def small(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HELIODOR_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    save_network(tmp_path / "m.safetensors", Classifier(NetworkSettings(units=2)), {"exclusion_radius": 5.0})
    assert main(["preprocess", str(dataset[0]), "-s", "4", "-o", str(tmp_path / "small")]) == 0
    return tmp_path / "small"


def counted(monkeypatch, stop):
    """Have the scoring of micrographs counted, and interrupted at the `stop`-th."""
    calls = []

    def score_maps(*arguments, **options):
        calls.append(1)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return scoring.score_maps(*arguments, **options)

    monkeypatch.setattr(stream, "score_maps", score_maps)
    return calls


@pytest.mark.parametrize("more", [[], ["--per-micrograph"]])
@pytest.mark.parametrize("command", ["extract", "segment"])
def test_an_interrupted_command_goes_on(small, tmp_path, monkeypatch, capsys, command, more):
    if command == "segment" and more:
        pytest.skip("an option of extract")
    words = [command, str(small), "-m", str(tmp_path / "m.safetensors"), "-d", "-1", "--any-pixel-size", *more]
    count = len(list(small.glob("*.mrc")))
    assert count >= 3
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    counted(monkeypatch, stop=3)
    assert main([*words, "-o", str(tmp_path / "parts")]) == 130
    calls = counted(monkeypatch, stop=0)
    capsys.readouterr()
    assert main([*words, "-o", str(tmp_path / "parts")]) == 0
    assert 0 < len(calls) < count
    assert "done already" in capsys.readouterr().err
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    if whole.is_dir():
        names = sorted(path.name for path in whole.iterdir())
        assert names == sorted(path.name for path in parts.iterdir())
        assert all((whole / name).read_bytes() == (parts / name).read_bytes() for name in names)
    else:
        assert whole.read_bytes() == parts.read_bytes()
    assert not list(tmp_path.rglob("*.part"))
    calls = counted(monkeypatch, stop=0)
    assert main([*words, "-o", str(tmp_path / "parts")]) == 0  # what is done is done again when asked again
    assert len(calls) == count


def test_a_journal_of_other_settings_is_not_gone_on_with(small, tmp_path, monkeypatch, capsys):
    words = ["extract", str(small), "-m", str(tmp_path / "m.safetensors"), "-d", "-1", "--any-pixel-size"]
    words += ["-o", str(tmp_path / "picks.txt")]
    counted(monkeypatch, stop=3)
    assert main(words) == 130
    journal = tmp_path / ".picks.txt.part"
    kept = journal.read_text()
    for change in ("radius", "file"):
        journal.write_text(kept)
        if change == "file":
            next(small.glob("*.mrc")).touch()
        counted(monkeypatch, stop=0)
        capsys.readouterr()
        assert main([*words, *(["-r", "4"] if change == "radius" else [])]) == 0
        assert "done already" not in capsys.readouterr().err


def test_a_line_that_was_being_written_is_done_again(small, tmp_path, monkeypatch):
    words = ["extract", str(small), "-m", str(tmp_path / "m.safetensors"), "-d", "-1", "--any-pixel-size"]
    assert main([*words, "-o", str(tmp_path / "whole.txt")]) == 0
    counted(monkeypatch, stop=3)
    assert main([*words, "-o", str(tmp_path / "picks.txt")]) == 130
    journal = tmp_path / ".picks.txt.part"
    journal.write_bytes(journal.read_bytes()[:-20])
    counted(monkeypatch, stop=0)
    assert main([*words, "-o", str(tmp_path / "picks.txt")]) == 0
    assert (tmp_path / "picks.txt").read_bytes() == (tmp_path / "whole.txt").read_bytes()


def test_a_folder_without_a_name_and_a_device_are_written_to(small, tmp_path, monkeypatch, capfd):
    words = ["extract", str(small), "-m", str(tmp_path / "m.safetensors"), "-d", "-1", "--any-pixel-size", "-o"]
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert main([*words, ".", "--per-micrograph"]) == 0
    assert len(list((tmp_path / "here").iterdir())) == len(list(small.glob("*.mrc")))
    assert main([*words, "/dev/stdout"]) == 0
    assert capfd.readouterr().out.startswith("image_name")
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_is_told_by_the_name_of_the_journal(tmp_path):
    class Full:
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            self.write("")

    with pytest.raises(OutputError, match=r"picks.txt.part: cannot write \(No space left"):  # noqa: SIM117
        with Journal(tmp_path / "picks.txt", {}, []) as journal:
            journal._stream.close()
            journal._stream = Full()
            journal.add("m", Picks.on("m", []))


def test_what_was_done_keeps_its_probabilities(tmp_path):
    done = Picks.on("a", [[1.5, 2.0], [3.0, 4.0]], [0.5, -1.25], [0.8, 0.125])
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "picks.txt", {}, []) as journal:
        journal.add("a", done)
        journal.add("none", Picks([], np.empty((0, 2))))
        raise KeyboardInterrupt
    with Journal(tmp_path / "picks.txt", {}, []) as journal:
        found = journal.done
    assert sorted(found) == ["a", "none"]
    assert not len(found["none"])
    for column in ("xy", "scores", "probabilities"):
        assert (getattr(found["a"], column) == getattr(done, column)).all()


def test_a_journal_that_two_commands_have_written_to_holds_as_far_as_it_can_be_read(tmp_path):
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path / "picks.txt", {}, []) as journal:
        for name in "abc":
            journal.add(name, Picks.on(name, [[1.0, 2.0]]))
        raise KeyboardInterrupt
    path = tmp_path / ".picks.txt.part"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:2], lines[2][:9] + lines[3], *lines[3:]]))
    with Journal(tmp_path / "picks.txt", {}, []) as journal:
        assert list(journal.done) == ["a"]
        journal.add("b", Picks.on("b", [[3.0, 4.0]]))
