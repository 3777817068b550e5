from __future__ import annotations

import errno
import os
import subprocess

import numpy as np
import pytest

from heliodor.errors import OutputError
from heliodor.files import atomic_path, check_output, make_directory, write_text
from heliodor.micrographs import Micrograph, write_micrograph
from heliodor.networks import Classifier, NetworkSettings, export_topaz, save_network
from heliodor.training.loop import Trainer
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_long_names_that_begin_alike_never_share_a_temporary_file(tmp_path):
    names = ["FoilHole_" + "é" * 110 + end for end in ("_1.mrc", "_2.mrc")]
    with atomic_path(tmp_path / names[0]) as one, atomic_path(tmp_path / names[1]) as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
    assert [(tmp_path / name).read_text() for name in names] == ["1", "2"]


def test_a_full_disk_is_one_line_with_its_mend(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(OutputError, match=r"x\.txt: cannot write .*free some space"), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "x").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        make_directory(tmp_path / "x" / "y")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="may write"):
        make_directory(tmp_path)


@pytest.fixture
def no_room():
    """Files that grow beyond 64 KiB fail as on a full disk: in the middle of being written."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_a_checkpoint(path):
    example = Example("m", np.zeros((60, 60), np.float32), np.array([[30.0, 30.0]]), np.empty((0, 2)))
    Trainer([example], TrainingSettings(), "cpu").save(path.with_suffix(".pt"))


WRITERS = {
    "text": lambda path: write_text(path, "x" * 100_000),
    "mrc": lambda path: write_micrograph(path.with_suffix(".mrc"), BIG),
    "tiff": lambda path: write_micrograph(path.with_suffix(".tiff"), BIG),
    "network": lambda path: save_network(path, Classifier(NetworkSettings()), {}),
    "export": lambda path: export_topaz(path.with_suffix(".sav"), Classifier(NetworkSettings())),
    "checkpoint": write_a_checkpoint,
}
BIG = Micrograph(np.zeros((200, 200), np.float32), 1.0, "big")


# mrcfile does not close its file where it cannot write what is left.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_fills_up_leaves_no_half_file(writer, no_room, tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        WRITERS[writer](tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """As `-o /dev/null` and `-o /dev/stdout` ask for."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        check_output(pipe)
        write_text(pipe, "what is written\n")
        assert reader.communicate()[0] == "what is written\n"
    assert pipe.is_fifo()
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_output_is_checked_before_any_work(tmp_path):
    check_output(tmp_path / "new" / "folder" / "x.txt")
    assert (tmp_path / "new" / "folder").is_dir()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        check_output(tmp_path / "file" / "x.txt")
    for folder in (tmp_path, ""):
        with pytest.raises(OutputError, match="a folder stands where the file should go"):
            check_output(folder)
