"""Labels on disk, and edits of several tabs."""

import json
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor import Picks, read_picks, write_picks
from heliodor.errors import FormatError, LabelError, OutputError
from heliodor.find import find_micrographs
from heliodor.labeling.candidates import Candidates
from heliodor.labeling.files import SessionFiles
from heliodor.labeling.labels import MOST, Edit, MicrographLabels
from heliodor.labeling.session import Session
from heliodor.names import MicrographFile

SIZE = (1000, 800)


def edit(**words):
    return Edit.of_json(words, *SIZE)


def add(key, x, y, kind="particle"):
    return edit(do="add", id=key, x=x, y=y, kind=kind)


@pytest.fixture
def micrographs(dataset):
    return find_micrographs([dataset[0]])


@pytest.fixture
def session(micrographs, tmp_path):
    session = Session.open(micrographs, tmp_path / "labels.txt")
    yield session
    session.close()


def names(micrographs):
    return [m.name for m in micrographs]


def again(session):
    """The session of a server that starts after this one was killed."""
    session.close()
    return Session.open(session.micrographs, session.files.labels)


def test_every_edit_is_on_disk_when_it_returns(session, tmp_path):
    session.edit(1, 0, [add("a", 10.5, 20), add("b", 30, 40, "negative")])
    name = session.micrographs[1].name
    assert read_picks(tmp_path / "labels.txt").of(name).xy.tolist() == [[10.5, 20]]
    assert read_picks(tmp_path / "labels-negatives.txt").of(name).xy.tolist() == [[30, 40]]
    session.edit(1, 1, [edit(do="change", id="b", kind="particle"), edit(do="done", value=True)])
    assert len(read_picks(tmp_path / "labels.txt")) == 2
    assert len(read_picks(tmp_path / "labels-negatives.txt")) == 0
    assert (tmp_path / "labels-done.txt").read_text() == f"{session.micrographs[1].path}\n"
    other = again(session)
    assert other.changes(-1)[1] == [(1, 2, 0, True)]
    other.close()


@pytest.mark.parametrize("suffix", [".txt", ".star"])
def test_labels_come_back_exactly_whatever_the_name(micrographs, tmp_path, suffix):
    session = Session.open(micrographs, tmp_path / f"the labels{suffix}")
    for index in range(len(micrographs)):
        session.edit(index, 0, [add(f"a{index}", index + 0.125, 7.25), add(f"b{index}", 5, index, "negative")])
    other = again(session)
    for index, name in enumerate(names(micrographs)):
        assert other.picks("particle").of(name).xy.tolist() == [[index + 0.125, 7.25]]
        assert other.picks("negative").of(name).xy.tolist() == [[5, index]]
    other.close()


def test_two_tabs_do_not_overwrite_each_other(session):
    first = session.edit(0, 0, [add("a", 1, 1), add("b", 2, 2)])
    assert "labels" not in first  # nobody else has changed anything
    second = session.edit(0, 0, [add("c", 3, 3)])  # knows only the beginning
    assert {row[0] for row in second["labels"]} == {"a", "b", "c"}
    session.edit(0, first["revision"], [edit(do="delete", id="a")])
    late = session.edit(
        0, second["revision"], [edit(do="change", id="a", x=9, y=9), edit(do="change", id="b", x=8, y=8)]
    )
    assert {row[0]: row[1:3] for row in late["labels"]} == {"b": (8.0, 8.0), "c": (3.0, 3.0)}


def test_a_request_that_comes_twice_changes_nothing_more(session):
    edits = [add("a", 1, 1), edit(do="change", id="a", x=5, y=6)]
    session.edit(0, 0, edits)
    session.edit(0, 0, edits)
    assert session.of(0)["labels"] == [("a", 5.0, 6.0, "particle")]


keys = st.sampled_from("abcdef")
numbers = st.floats(0, 700)
kinds = st.sampled_from(["particle", "negative"])
edits = st.one_of(
    st.builds(add, keys, numbers, numbers, kinds),
    st.builds(lambda key, x, y: edit(do="change", id=key, x=x, y=y), keys, numbers, numbers),
    st.builds(lambda key, kind: edit(do="change", id=key, kind=kind), keys, kinds),
    st.builds(lambda key: edit(do="delete", id=key), keys),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(edits, max_size=4), max_size=12))
def test_files_hold_what_memory_holds(tmp_path_factory, batches):
    folder = tmp_path_factory.mktemp("session")
    micrographs = [MicrographFile(folder / f"{name}.mrc", name) for name in ("x", "y")]
    session = Session.open(micrographs, folder / "l.txt")
    for number, batch in enumerate(batches):
        session.edit(number % 2, -1, batch)
    wanted = [sorted(row[1:] for row in session.of(index)["labels"]) for index in (0, 1)]
    other = again(session)
    assert [sorted(row[1:] for row in other.of(index)["labels"]) for index in (0, 1)] == wanted
    other.close()


def test_many_threads_lose_nothing(session, tmp_path):
    def work(thread):
        for k in range(20):
            session.edit(k % 4, -1, [add(f"{thread}x{k}", thread, k)])

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_picks(tmp_path / "labels.txt")) == 120


@pytest.mark.parametrize(
    "words",
    [
        None,
        {},
        {"do": "drop"},
        {"do": "add", "id": "a", "x": 1, "y": 1},
        {"do": "add", "id": "a", "x": 1, "kind": "particle"},
        {"do": "add", "id": "../a", "x": 1, "y": 1, "kind": "particle"},
        {"do": "add", "id": "a" * 33, "x": 1, "y": 1, "kind": "particle"},
        {"do": "add", "id": 5, "x": 1, "y": 1, "kind": "particle"},
        {"do": "add", "id": "a", "x": float("nan"), "y": 1, "kind": "particle"},
        {"do": "add", "id": "a", "x": "1", "y": 1, "kind": "particle"},
        {"do": "add", "id": "a", "x": True, "y": 1, "kind": "particle"},
        {"do": "add", "id": "a", "x": 1000, "y": 1, "kind": "particle"},
        {"do": "add", "id": "a", "x": 1, "y": -1, "kind": "particle"},
        {"do": "add", "id": "a", "x": 1, "y": 1, "kind": "mud"},
    ],
)
def test_what_is_no_edit_is_refused(words):
    with pytest.raises(LabelError):
        Edit.of_json(words, *SIZE)


def test_too_many_labels_are_refused_whole():
    labels = MicrographLabels()
    labels.apply([add(f"{k:x}", 1, 1) for k in range(MOST)])
    with pytest.raises(LabelError, match="at most"):
        labels.apply([edit(do="delete", id="0"), add("new1", 1, 1), add("new2", 1, 1)])
    assert len(labels.labels) == MOST


def test_labels_of_other_micrographs_stay(micrographs, tmp_path):
    write_picks(tmp_path / "l.txt", Picks(["001", "elsewhere"], [[1, 2], [3, 4]]))
    session = Session.open(micrographs, tmp_path / "l.txt")
    session.edit(0, 0, [add("a", 5, 6)])
    assert read_picks(tmp_path / "l.txt").of("elsewhere").xy.tolist() == [[3, 4]]
    assert len(read_picks(tmp_path / "l.txt")) == 3
    session.close()


@pytest.mark.parametrize(
    "text",
    [
        "image_name\tx_coord\ty_coord\tscore\n001\t1\t2\t3.5\n",
        "image_name\tx_coord\ty_coord\tdefocus\n001\t1\t2\t15000\n",
        "data_\nloop_\n_rlnMicrographName\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnDefocusU\n001 1 2 15000\n",
    ],
)
def test_a_file_that_holds_more_than_labels_is_copied_first(micrographs, tmp_path, text):
    path = tmp_path / ("l.star" if text.startswith("data") else "l.txt")
    path.write_text(text)
    session = Session.open(micrographs, path)
    original = tmp_path / f"l-original{path.suffix}"
    assert not original.exists()
    for key in "ab":
        session.edit(0, 0, [add(key, 5, 6)])
    assert original.read_text() == text
    assert len(read_picks(path)) == 3
    session.close()


def test_an_earlier_copy_stays(micrographs, tmp_path):
    path, first = tmp_path / "l.txt", tmp_path / "l-original.txt"
    first.write_text("the first")
    path.write_text("image_name\tx_coord\ty_coord\tscore\n001\t1\t2\t3.5\n")
    session = Session.open(micrographs, path)
    session.edit(0, 0, [add("a", 5, 6)])
    session.close()
    assert first.read_text() == "the first"
    assert "3.5" in (tmp_path / "l-original-2.txt").read_text()


def test_a_link_in_the_place_of_the_lock_empties_nothing(micrographs, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("something")
    (tmp_path / ".l.txt.lock").symlink_to(kept)
    Session.open(micrographs, tmp_path / "l.txt").close()
    assert kept.read_text() == "something"


def test_a_link_in_the_place_of_the_labels_stays_one(micrographs, tmp_path):
    real, link = tmp_path / "kept" / "real.txt", tmp_path / "l.txt"
    real.parent.mkdir()
    real.write_text("image_name\tx_coord\ty_coord\n001\t1\t2\n")
    link.symlink_to(real)
    session = Session.open(micrographs, link)
    session.edit(0, 0, [add("a", 5, 6)])
    session.close()
    assert link.is_symlink()
    assert len(read_picks(real)) == 2


def test_done_marks_that_are_no_text(micrographs, tmp_path):
    (tmp_path / "l-done.txt").write_bytes(b"\xff\n")
    with pytest.raises(FormatError, match=r"l-done\.txt"):
        Session.open(micrographs, tmp_path / "l.txt")


def test_a_file_of_ours_is_not_copied(micrographs, tmp_path):
    for name in ("l.txt", "l.star"):
        write_picks(tmp_path / name, Picks(["001"], [[3, 4]]))
        session = Session.open(micrographs, tmp_path / name)
        session.edit(0, 0, [add("a", 5, 6)])
        session.close()
    assert not list(tmp_path.glob("*original*"))


def test_labels_of_other_micrographs_only_are_refused(micrographs, tmp_path):
    write_picks(tmp_path / "l.txt", Picks(["elsewhere"], [[3, 4]]))
    with pytest.raises(LabelError, match=r"l\.txt"):
        Session.open(micrographs, tmp_path / "l.txt")


def test_done_marks_of_other_micrographs_stay(micrographs, tmp_path):
    (tmp_path / "l-done.txt").write_text("/data/other.mrc\n")
    session = Session.open(micrographs, tmp_path / "l.txt")
    session.edit(0, 0, [edit(do="done", value=True)])
    assert (tmp_path / "l-done.txt").read_text().splitlines() == [str(micrographs[0].path), "/data/other.mrc"]
    session.close()


def test_one_session_at_a_time(session, micrographs):
    with pytest.raises(OutputError, match="another heliodor label"):
        SessionFiles(session.files.labels, micrographs)


def test_a_file_that_another_program_changed_is_not_overwritten(session, tmp_path):
    session.edit(0, 0, [add("a", 1, 1)])
    time.sleep(0.01)
    (tmp_path / "labels.txt").write_text("image_name\tx_coord\ty_coord\n001\t9\t9\n")
    with pytest.raises(OutputError, match="another program"):
        session.edit(0, 1, [add("b", 2, 2)])
    assert read_picks(tmp_path / "labels.txt").xy.tolist() == [[9, 9]]


def test_an_edit_that_could_not_be_written_goes_out_with_the_next_try(session, tmp_path, monkeypatch):
    write, broken = session.files.write_labels, [True]

    def writes(path, picks):
        if broken[0]:
            raise OutputError(f"{path}: cannot write (disk full); free some space")
        write(path, picks)

    monkeypatch.setattr(session.files, "write_labels", writes)
    with pytest.raises(OutputError):
        session.edit(0, 0, [add("a", 1, 1)])
    broken[0] = False
    session.edit(0, 0, [add("a", 1, 1)])  # the page sends it again
    assert len(read_picks(tmp_path / "labels.txt")) == 1


def test_other_formats_are_refused(micrographs, tmp_path):
    with pytest.raises(FormatError, match="heliodor convert"):
        SessionFiles(tmp_path / "labels.box", micrographs)


def test_choices_are_kept(session, tmp_path):
    session.choose({"diameter": 120.0})
    session.choose({"threshold": 0.5})
    assert json.loads((tmp_path / "labels-session.json").read_text()) == {"diameter": 120.0, "threshold": 0.5}
    (tmp_path / "labels-session.json").write_text("{")
    session.close()
    with pytest.raises(FormatError, match="not JSON"):
        Session.open(session.micrographs, session.files.labels)


def test_candidates(micrographs, tmp_path):
    picks = Picks(["001", "plain", "001"], [[1, 2], [3, 4], [5, 6]], [0.5, -1, 2])
    write_picks(tmp_path / "picks.txt", picks)
    candidates = Candidates.read(tmp_path / "picks.txt", micrographs)
    index = names(micrographs).index("001")
    assert candidates.of(index) == [[5, 6, 2, None, True], [1, 2, 0.5, None, True]]
    assert candidates.counts(0) == {index: 2, names(micrographs).index("plain"): 0}
    assert candidates.counts(candidates.automatic) == {index: 2, names(micrographs).index("plain"): 1}
    summary = candidates.summary()
    assert summary["scored"]
    assert (summary["low"], summary["high"], summary["above"][0], summary["above"][-1]) == (-1.01, 2, 3, 0)
    assert summary["probabilities"][0] is None
    assert Candidates().summary()["above"][0] == 0


def test_candidates_without_scores(micrographs, tmp_path):
    write_picks(tmp_path / "p.txt", Picks.on("001", np.ones((3, 2))))
    candidates = Candidates.read(tmp_path / "p.txt", micrographs)
    assert not candidates.summary()["scored"]
    assert candidates.counts(candidates.automatic) == {names(micrographs).index("001"): 3}


def test_candidates_of_a_run(micrographs, tmp_path):
    """All that was found is there, and at the threshold of the run its picks are shown, and no others."""
    found = Picks.on("001", np.arange(8).reshape(4, 2), [3, 2, 1, -1], [0.9, 0.8, 0.5, 0.1])
    write_picks(tmp_path / "candidates.star", found)
    write_picks(tmp_path / "picks.star", found.select([0]).without_probabilities())  # it asked more here
    flags = {"plain": ["empty: no picks", "crystalline ice"], "of another set": ["empty: no picks"]}
    (tmp_path / "run.json").write_text(json.dumps({"result": {"estimates": {"threshold": 1.0}, "flags": flags}}))
    candidates = Candidates.read(tmp_path, micrographs)
    index = names(micrographs).index("001")
    assert [row[3] for row in candidates.of(index)] == [0.9, 0.8, 0.5, 0.1]
    assert candidates.counts(candidates.automatic) == {index: 1}
    assert candidates.counts(0.99) == {index: 3}
    assert candidates.summary()["kept"] == 1
    assert candidates.summary()["flags"] == {names(micrographs).index("plain"): "empty: no picks, crystalline ice"}
    probabilities = candidates.summary()["probabilities"]
    assert probabilities[0] == 0.1
    assert probabilities[-1] is None
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(FormatError, match="finished run"):
        Candidates.read(tmp_path, micrographs)
