"""How arguments are written, what goes where, and what is refused."""

from __future__ import annotations

import argparse
import importlib
import io
import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from heliodor.cli import Parser
from heliodor.cli.topaz import GROUPS, MODULES, conflict, examples, main
from heliodor.formats import read_picks
from heliodor.networks import Classifier, NetworkSettings, load_network, save_network
from heliodor.preprocess import downsample
from topaz_helpers import NAMES, PROGRAM, SHORT, environment, records, table, topaz

COMMANDS = [name for commands in GROUPS.values() for name in commands]
FLAGS = {
    "train": "--describe -d --device --num-workers -j --num-threads --train-images --train-targets --test-images "
    "--test-targets --format --image-ext -k --k-fold --fold --cross-validation-seed -n --num-particles --pi -r --radius "
    "--method --slack --autoencoder --l2 --learning-rate --natural --minibatch-size --minibatch-balance --epoch-size "
    "--num-epochs --preload --pretrained --no-pretrained -m --model --units --dropout --bn --pooling --unit-scaling --ngf "
    "-s --patch-size -p --patch-padding --save-prefix -o --output --test-batch-size",
    "extract": "-m --model -r --radius -t --threshold -s --down-scale -x --up-scale --num-workers -j --num-threads -p "
    "--patch-size --batch-size --assignment-radius --min-radius --max-radius --step-radius --targets --only-validate -d "
    "--device -o --output --per-micrograph --suffix --format --dims -v --verbose -f --filaments -fl --filaments_length -fp "
    "--filaments_plot --input",
    "denoise": "-d --device -o --output --suffix --format --normalize --stack --save-prefix --save-interval -m --model -a "
    "--dir-a -b --dir-b --hdf --preload --holdout --lowpass --gaussian --inv-gaussian --deconvolve --deconv-patch "
    "--pixel-cutoff -s --patch-size -p --patch-padding --method --arch --optim --lr --criteria -c --crop --batch-size "
    "--num-epochs --num-workers -j --num-threads",
    "segment": "-m --model -o --destdir -d --device -j --num-threads -p --patch-size -v --verbose",
    "preprocess": "-s --scale --affine --sample --niters -a --alpha -b --beta --metadata -d --device -t --num-workers -j "
    "--num-threads -o --destdir --format -v --verbose --pixel-sampling --seed",
    "downsample": "-s --scale -o --output -v --verbose",
    "precision_recall_curve": "--predicted --targets -r --assignment-radius --images",
    "convert": "-o --output --from --to --suffix -t --threshold -s --down-scale -x --up-scale --voltage "
    "--detector-pixel-size --magnification --amplitude-contrast --invert-y --imagedir --image-ext --boxsize -v --verbose",
    "split": "-o --output --format --suffix -t --threshold",
    "particle_stack": "--image-root -o --output --size --threshold --resize --image-ext --metadata",
    "train_test_split": "--image-dir --image-ext --format -n --number --seed",
    "scale_coordinates": "-s --scale -o --output",
    "boxes_to_coordinates": "--invert-y --imagedir --image-ext -o --output",
    "star_to_coordinates": "-o --output",
    "coordinates_to_star": "--image-ext --voltage --defocus-u --defocus-v --defocus-angle --spherical-aberation "
    "--amplitude-contrast --detector-pixel-size --magnification",
    "coordinates_to_boxes": "--destdir --boxsize --invert-y --imagedir --image-ext",
    "coordinates_to_eman2_json": "--destdir --invert-y --imagedir --image-ext",
    "star_particles_threshold": "-o --output -t --threshold",
}


def parser_of(command: str) -> Parser:
    name = "deprecated" if command in GROUPS["Deprecated"] else MODULES.get(command, command)
    parser = Parser(prog=f"topaz {command}")
    importlib.import_module(f"heliodor.cli.topaz.{name}").add_arguments(parser)
    return parser


def parse(command: str, *words: str) -> argparse.Namespace:
    return parser_of(command).parse_intermixed_args(list(words))


@pytest.mark.parametrize("command", FLAGS)
def test_every_flag_of_topaz_is_known(command):
    known = parser_of(command)._option_string_actions
    assert set(FLAGS[command].split()) <= set(known)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: topaz {command}")


def test_help_and_version_load_no_heavy_library():
    code = (
        "import sys; from heliodor.cli.topaz import main; assert main(sys.argv[1:]) == 0;"
        "heavy = {'torch', 'pandas', 'scipy', 'numpy', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    for words in (["--version"], ["extract", "--help"]):
        subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL)


def test_ways_to_write_an_option(tmp_path):
    found = parse("train", "--num-p", "5", "--num-particles=400.5", "--radius", "3.0", "--train-im=x", "--train-targets", "y",
                  "--slack", "-1", "--num-workers=-1", "--epoch-size", "1e3", "-d-1")  # fmt: skip
    assert (found.num_particles, found.radius, found.slack, found.num_workers) == (400.5, 3, -1, -1)
    assert (found.epoch_size, found.device) == (1000, -1)
    (tmp_path / "words").write_text("--threshold\n-6\n\na b.mrc\n")
    found = parse("extract", "1.mrc", "-r", "8", f"@{tmp_path}/words", "2.mrc")
    assert (found.threshold, found.paths) == (-6, ["1.mrc", "a b.mrc", "2.mrc"])
    assert parse("extract", "1.mrc", "-r", "8", "--", "-d.mrc", "2.mrc").paths == ["1.mrc", "./-d.mrc", "2.mrc"]
    many = [f"{k:06d}.mrc" for k in range(5000)]
    assert parse("extract", *many, "-r", "8", *many).paths == many * 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("extract -r 5 --no-such-flag x.mrc", "unrecognized arguments: --no-such-flag"),
        ("train --train-images x --train-targets y -n 4 --num-epochs 1.5", "not a whole number"),
        ("train --train-images x --train-targets y", "give -n"),
        ("train --train-images x --train-targets y -n 4 --pooling avg", "take max"),
        (
            "train --train-images x --train-targets y -n 4 -m conv31 --pooling max",
            "pooling is for resnet8 and resnet16",
        ),
        ("train --train-images x --train-targets y -n 4 -k 2 --test-images x --test-targets y", "--k-fold"),
        ("train --train-images small --train-targets small.txt -n 4 -r -1", "--radius must be 0 or more"),
        ("train --train-images small --train-targets small.txt --pi 2", "--pi is a fraction"),
        (
            "train --train-images small --train-targets small.txt -n 4 -o small.txt/c.txt",
            "a file stands where a folder",
        ),
        ("extract small -r 5 -m none -o small.txt/x.txt", "a file stands where a folder"),
        ("extract small -r 5 -m none -o small", "a folder stands where the file should go"),
        ("extract small -r -5 -m none", "--radius and --patch-size are pixels"),
        ("extract small -m none --targets no.txt -o x.txt", "no.txt: there is no such coordinate file"),
        ("extract x.mrc", "give the radius"),
        ("extract -r 5 --dims 3 x.mrc", "tomograms"),
        ("extract -r 5 nowhere.mrc", "nowhere.mrc: there is no such file"),
        ("convert --invert-y small.txt", "--imagedir"),
        ("convert --to box -o x.box small.txt", "--boxsize"),
        ("convert --to box small.txt", "give a folder"),
        ("train_test_split -n 3 --image-dir small small.txt", "3 of 3 labelled micrographs"),
        ("particle_stack small.txt --image-root small -o s.mrcs --size 1000", "smaller size"),
        ("gui", "heliodor label"),
        ("denoise small --hdf x.hdf", "hdf"),
        ("denoise small --device x", "number of a GPU"),
        ("denoise3d x.mrc --N-train 5", "not provided"),
        ("exract", "did you mean 'extract'?"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(work, capsys, line, message):
    assert main(line.split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error


def test_both_topaz_in_one_environment(monkeypatch, capsys):
    monkeypatch.setattr(metadata, "version", lambda name: {"topaz-em": "0.2.5", "heliodor-topaz": "0.1.0"}[name])
    assert main(["--version"]) == 2
    assert "HELIODOR_TOPAZ=heliodor" in capsys.readouterr().err
    monkeypatch.setenv("HELIODOR_TOPAZ", "heliodor")
    assert conflict() is None


def test_commands_are_those_of_the_package_too():
    place = Path(__file__).parents[2] / "topaz" / "src" / "topaz" / "commands"
    assert {p.stem for p in place.glob("*.py")} - {"__init__"} == set(COMMANDS)


def test_convert_star_with_metadata_and_back(work, capsys):
    topaz("convert --to star --voltage 300 --amplitude-contrast 0.1 --image-ext .mrc -o p.star small.txt")
    text = Path("p.star").read_text()
    assert "_rlnVoltage" in text
    assert "_rlnMagnification" not in text
    assert f"{NAMES[0]}.mrc" in text
    topaz("convert -o back.txt p.star")
    assert table(Path("back.txt")) == table(Path("small.txt"))
    topaz("star_to_coordinates -o again.txt p.star")
    assert Path("again.txt").read_text() == Path("back.txt").read_text()
    capsys.readouterr()
    topaz("coordinates_to_star small.txt --defocus-u 12000")
    assert "_rlnDefocusU" in capsys.readouterr().out


def test_star_box_and_json_are_laid_out_as_by_topaz(work, model, capsys):
    """Byte by byte, but for the number of digits: scripts cut columns out by their place."""
    Path("p.txt").write_text("image_name\tx_coord\ty_coord\tscore\n007\t604\t596\t-0.75\n007\t8\t0\t2\n")
    topaz("convert p.txt -o p.star --voltage 300")
    header = "data_images\n\nloop_\n_rlnAutopickFigureOfMerit #1\n_rlnMicrographName #2\n_rlnCoordinateX #3\n"
    assert Path("p.star").read_text() == (
        f"{header}_rlnCoordinateY #4\n_rlnVoltage #5\n-0.750000\t007.mrc\t604\t596\t300\n2.000000\t007.mrc\t8\t0\t300\n"
    )
    topaz("convert p.txt -o 1/ --boxsize 10")
    topaz("convert p.txt -o 1/")
    assert Path("1/007.box").read_text() == "599\t591\t10\t10\n3\t-5\t10\t10\n"
    boxes = json.loads(Path("1/007_info.json").read_text())["boxes"]
    assert boxes == [[604, 596, "manual"], [8, 0, "manual"]]
    assert all(isinstance(value, int) for box in boxes for value in box[:2])
    Path("labels.txt").unlink()
    Path("labels.txt").write_text("image_name\tx_coord\ty_coord\n007\t604\t596\n")
    capsys.readouterr()
    topaz("coordinates_to_star labels.txt")
    assert "_rlnAutopickFigureOfMerit" not in capsys.readouterr().out  # labels have none
    topaz("extract small/{n}.mrc -m {m} -r 5 -t -4 -d -1 --per-micrograph --format star -o s", n=NAMES[0], m=model)
    topaz("extract small/{n}.mrc -m {m} -r 5 -t -4 -d -1 --per-micrograph --format box -o s", n=NAMES[0], m=model)
    assert Path(f"s/{NAMES[0]}.star").read_text().startswith(f"{header}_rlnCoordinateY #4\n")
    assert {len(line.split("\t")) for line in Path(f"s/{NAMES[0]}.box").read_text().splitlines()} == {4}


def test_star_to_star_keeps_columns_and_names(work, capsys):
    """As in Topaz: RELION's paths and what else it knows of a particle."""
    Path("p.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup #1\n1\n\ndata_particles\n\nloop_\n_rlnMicrographName #1\n"
        "_rlnCoordinateX #2\n_rlnCoordinateY #3\n_rlnClassNumber #4\n_rlnAutopickFigureOfMerit #5\n"
        f"MotionCorr/job002/{NAMES[0]}.mrc 14.4 26.6 3 -1.5\nMotionCorr/job002/{NAMES[1]}.mrc 30.2 40 4 2.5\n"
    )
    topaz("convert p.star --threshold 0 -x 2 --voltage 300")  # to standard output, in the format of the input
    Path("q.star").write_text(capsys.readouterr().out)
    topaz("convert p.star p.star -o twice.star")
    rows = [line.split() for line in Path("q.star").read_text().splitlines() if "/" in line]
    assert rows == [[f"MotionCorr/job002/{NAMES[1]}.mrc", "60", "80", "4", "2.5", "300"]]
    assert [line.split()[1] for line in Path("twice.star").read_text().splitlines() if "/" in line] == [
        "14.4",
        "30.2",
    ] * 2
    topaz("convert p.star -o t.star --invert-y --imagedir small --image-ext mrc")
    height = mrcfile.read(f"small/{NAMES[0]}.mrc").shape[0]
    y = [int(line.split()[2]) for line in Path("t.star").read_text().splitlines() if "/" in line]
    assert y == [round(height - 1 - 26.6), height - 1 - 40]
    for name in ("001", "a.b"):  # files of one micrograph each, as RELION writes them: their names tell which
        Path(f"{name}_autopick.star").write_text("data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n1 2\n")
    topaz("convert 001_autopick.star a.b_autopick.star -o both.star")
    assert read_picks("both.star").names.tolist() == ["001", "a.b"]
    topaz("star_particles_threshold p.star -t 0 -o kept.star")
    assert f"{NAMES[1]}.mrc\t30.2\t40\t4\t2.5\n" in Path("kept.star").read_text()
    assert NAMES[0] not in Path("kept.star").read_text()


def test_a_threshold_leaves_labels_without_scores(work, capsys):
    """As cryoSPARC calls it on labels of a person."""
    topaz("convert --down-scale 2 --threshold 0 -o processed.txt small.txt")
    assert len(table(Path("processed.txt"))) == len(table(Path("small.txt")))
    topaz("split --threshold 0 -o parts small.txt")
    assert sum(len(table(p)) - 1 for p in Path("parts").iterdir()) == len(table(Path("small.txt"))) - 1
    topaz("convert --to csv -o v.csv small.txt")
    capsys.readouterr()
    topaz("convert v.csv")
    assert capsys.readouterr().out == Path("v.csv").read_text()


def test_boxes_there_and_back_turned_around_and_scaled(work):
    topaz("coordinates_to_boxes small.txt --destdir boxes --boxsize 10 --invert-y --imagedir small --image-ext mrc")
    topaz(
        "boxes_to_coordinates {b} --invert-y --imagedir small --image-ext * -o back.txt",
        b=sorted(Path("boxes").iterdir()),
    )
    assert sorted(table(Path("back.txt"))) == sorted(table(Path("small.txt")))
    topaz("scale_coordinates -s 4 -o big.txt small.txt")
    assert int(table(Path("big.txt"))[1][1]) == 4 * int(table(Path("small.txt"))[1][1])
    Path("float.box").write_text("1.5 2.5 10.0 10.0\n")
    topaz("convert -o float.txt float.box")
    assert table(Path("float.txt"))[1][:3] == ["float", "6", "8"]


def test_split_names_files_by_the_micrograph_alone(work):
    """Not by its folder, as RELION's names have it; and VIA's csv stays VIA's."""
    Path("p.star").write_text("data_\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n"
                              "_rlnClassNumber #4\nMotionCorr/job002/a.b.mrc 1.4 2.6 7\n"
                              "MotionCorr/job002/001.mrc 3 4 8\nMotionCorr/job002/a.b.mrc 5 6 9\n")  # fmt: skip
    topaz("split p.star -o parts")
    assert sorted(p.name for p in Path("parts").iterdir()) == ["001.star", "a.b.star"]
    rows = ["MotionCorr/job002/a.b.mrc\t1\t3\t7", "MotionCorr/job002/a.b.mrc\t5\t6\t9"]
    assert Path("parts/a.b.star").read_text().splitlines()[-2:] == rows
    topaz("convert -o p.csv p.star")
    topaz("split p.csv -o csv")
    assert records("csv/001.csv", ",")[0]["filename"] == "001.png"


def test_only_names_that_are_shared_keep_folders(work):
    names = ("job/a é/x.mrc", "job/b/x.mrc", "job/b/00 1.2.mrc", "/data/007.tif", "job/b/x")
    rows = "".join(f"{name}\t{k}\t{k}\n" for k, name in enumerate(names))
    Path("p.txt").write_text(f"image_name\tx_coord\ty_coord\n{rows}")
    topaz("convert p.txt -o q.txt")
    assert [row[0] for row in table(Path("q.txt"))[1:]] == ["a é/x", "b/x", "00 1.2", "007", "b/x"]
    topaz("split p.txt -o parts")
    found = sorted(p.relative_to("parts").as_posix() for p in Path("parts").rglob("*.txt"))
    assert found == ["00 1.2.txt", "007.txt", "a é/x.txt", "b/x.txt"]


def test_eman2_json_and_split(work):
    topaz("coordinates_to_eman2_json small.txt --destdir info")
    assert len(json.loads(Path(f"info/{NAMES[0]}_info.json").read_text())["boxes"][0]) == 3
    topaz("convert -o info2/ small.txt")
    assert len(list(Path("info2").iterdir())) == len(NAMES)
    topaz("split small.txt -o parts --suffix _x")
    assert sorted(p.name for p in Path("parts").iterdir()) == sorted(f"{name}_x.txt" for name in NAMES)


def test_star_particles_threshold_keeps_other_columns(work):
    Path("in.star").write_text(
        "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n_rlnAutopickFigureOfMerit\n_rlnDefocusU\n1 2 -1 9\n3 4 1 8\n"
    )
    topaz("star_particles_threshold -t 0 -o out.star in.star")
    assert Path("out.star").read_text().split()[-4:] == ["3", "4", "1", "8"]


def test_particle_stack(work):
    Path("ctf.star").write_text(
        "data_\nloop_\n_rlnMicrographName\n_rlnDefocusU\n" + "".join(f"{n}.mrc {k}000\n" for k, n in enumerate(NAMES))
    )
    topaz("particle_stack labels.txt --image-root raw -o stack.mrcs --size 60 --resize 20 --metadata ctf.star")
    stack = mrcfile.read("stack.mrcs")
    picks = read_picks("stack.star")
    assert stack.shape == (len(picks), 20, 20)
    assert 50 < len(picks) <= len(read_picks("labels.txt"))
    x, y = np.rint(picks.xy[0]).astype(int)
    window = mrcfile.read(f"raw/{NAMES[0]}.mrc")[y - 30 : y + 30, x - 30 : x + 30].astype(np.float32)
    np.testing.assert_allclose(stack[0], downsample(window, 3)[0], atol=1e-5)
    assert f"\n000001@stack.mrcs {NAMES[0]}.mrc " in Path("stack.star").read_text()
    assert "_rlnDefocusU" in Path("stack.star").read_text()


@pytest.mark.parametrize(("size", "resize"), [(9, 7), (20, 10), (23, 15)])
def test_particle_stack_has_the_side_that_is_asked_for(work, size, resize):
    """Also below what a network could see, and where size / (size / resize) is a little less than resize."""
    topaz(f"particle_stack small.txt --image-root small -o s.mrcs --size {size} --resize {resize}")
    assert mrcfile.read("s.mrcs").shape[1:] == (resize, resize)


def test_extract_per_micrograph_and_a_broken_one(work, model, capsys):
    shutil.copytree("small", "mine", symlinks=False)
    Path("mine/zz.mrc").write_text("broken")
    for kind in ("coord", "csv", "star", "json", "box"):
        assert (
            main(f"extract mine -m {model} -r 5 -t -4 -d -1 --per-micrograph --format {kind} -o NEW/{kind}".split())
            == 1
        )
    assert "WARNING: skipped: mine/zz.mrc" in capsys.readouterr().err
    parts = {kind: read_picks(next(Path(f"NEW/{kind}").glob(f"{NAMES[0]}*")), format={"coord": "txt"}.get(kind, kind)).xy
             for kind in ("coord", "csv", "star", "json", "box")}  # fmt: skip
    assert all(np.array_equal(xy, parts["coord"]) for xy in parts.values())
    topaz("extract mine/{n}.mrc -m {m} -r 5 -t 100 -d -1 --per-micrograph --suffix _p", n=NAMES[0], m=model)
    assert Path(f"mine/{NAMES[0]}_p.coord").read_text() == "image_name\tx_coord\ty_coord\tscore\n"


def test_a_micrograph_that_cannot_be_used_still_has_a_file_with_a_header(work, model, capsys):
    """RELION, which does not look at the exit code, gives up a whole job where the file is not there."""
    mrcfile.write("flat.mrc", np.full((60, 60), 3, np.float32))
    assert main(f"extract flat.mrc -m {model} -r 5 -d -1 -o proc/rank0.txt".split()) == 2
    assert "every pixel is 3" in capsys.readouterr().err
    assert Path("proc/rank0.txt").read_text() == "image_name\tx_coord\ty_coord\tscore\n"
    assert main(["extract", "flat.mrc", "-m", "nowhere.sav", "-r", "5", "-d", "-1", "-o", "proc/rank1.txt"]) == 2
    assert not Path("proc/rank1.txt").exists()  # no model: nothing is known of the micrograph


def test_train_leaves_out_micrographs_that_cannot_be_used(work, capsys):
    shutil.copytree("small", "mine")
    shutil.copy("mine/" + f"{NAMES[0]}.mrc", "mine/cut.mrc")
    with open("mine/cut.mrc", "r+b") as file:
        file.truncate(5000)
    mrcfile.write("mine/flat.mrc", np.full((60, 60), 3, np.float32))
    line = f"train --train-images mine --train-targets small.txt -n 170 -r 2 -d -1 {SHORT} --num-epochs 1 -o c.txt"
    assert main(line.split()) == 1
    log = capsys.readouterr().err
    assert "skipped: mine/cut.mrc: truncated" in log
    assert "skipped: mine/flat.mrc: every pixel is 3" in log
    assert f"Loaded {len(NAMES)} training micrographs" in log
    assert len(table(Path("c.txt"))) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_standard_output_is_one_line(work):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", PROGRAM, "convert", "small.txt"], stdout=full,
                              stderr=subprocess.PIPE, text=True, env=environment())  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "standard output: cannot write (No space left on device)" in done.stderr


def test_extract_loads_what_it_needs_only(work, model, tmp_path):
    """RELION starts it for every micrograph: without a GPU, no torch; and for no filaments nothing of theirs."""
    code = (
        "import sys; from topaz.main import main; assert main() == 0;"
        "heavy = {'torch', 'pandas', 'scipy.ndimage', 'matplotlib'} & set(sys.modules); assert not heavy, heavy"
    )
    words = ["extract", f"small/{NAMES[0]}.mrc", "-m", str(model), "-r", "5", "-t", "-4", "-d", "-1", "-o", "o.txt"]
    home = tmp_path / "home"
    home.mkdir()
    own = {name: value for name, value in environment().items() if name != "ORT_DISABLE_TELEMETRY"}
    for _ in range(2):  # the first compiles the network, by torch
        done = subprocess.run([sys.executable, "-c", code, *words], stderr=subprocess.PIPE, text=True,
                              env={**own, "HOME": str(home), "XDG_CACHE_HOME": ""})  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not list(home.iterdir())  # not even what ONNX Runtime gathers for Microsoft


def test_extract_finds_the_radius_that_suits_labels(work, model, capsys):
    topaz(
        "extract small -m {m} -t -4 -d -1 --targets small.txt --min-radius 2 --max-radius 8 --step-radius 3 --only-validate "
        "--assignment-radius 5", m=model,
    )  # fmt: skip
    found = capsys.readouterr().out
    assert found.startswith("# radius=")
    values = dict(word.split("=") for word in found[2:].strip().split(", "))
    assert set(values) == {"radius", "auprc", "rmse", "recall", "targets"}
    assert (float(values["radius"]) in (2, 5, 8), int(values["targets"])) == (True, len(table(Path("small.txt"))) - 1)


def test_extract_with_the_radius_found_keeps_the_order_of_micrographs(work, model, capsys):
    names = [*NAMES[1:], NAMES[0]]
    own = [row for row in table(Path("small.txt")) if row[0] in ("image_name", NAMES[0])]
    Path("some.txt").write_text("\n".join("\t".join(row) for row in own) + "\n")
    places = [f"small/{name}.mrc" for name in names]
    topaz("extract {p} -m {m} -t -4 -d -1 --targets some.txt --min-radius 5 --max-radius 5 -o a.txt", m=model, p=places)
    topaz("extract {p} -m {m} -t -4 -d -1 -r 5 -o b.txt", m=model, p=places)
    assert Path("a.txt").read_bytes() == Path("b.txt").read_bytes()
    assert list(dict.fromkeys(row["image_name"] for row in records(Path("a.txt")))) == names


def test_of_many_micrographs_without_labels_some_are_read(work, monkeypatch, capsys):
    copies = Path("copies")
    copies.mkdir()
    for k in range(6):
        shutil.copy(f"small/{NAMES[1]}.mrc", copies / f"none{k}.mrc")
    shutil.copy(f"small/{NAMES[0]}.mrc", copies)
    own = [row for row in table(Path("small.txt")) if row[0] in ("image_name", NAMES[0])]
    Path("some.txt").write_text("\n".join("\t".join(row) for row in own) + "\n")
    with mrcfile.open(f"small/{NAMES[1]}.mrc") as mrc:
        monkeypatch.setattr(examples, "MOST_UNLABELED", mrc.data.size + 1)
    topaz(f"train --train-images copies --train-targets some.txt -n 170 -r 2 -d -1 -o c.txt --num-epochs 1 {SHORT}")
    said = capsys.readouterr().err
    assert "2 of 6 micrographs without labels, drawn at random, are read" in said
    assert "Loaded 3 training micrographs" in said


def test_segment_then_extract_from_score_maps_is_extract(work, model, capsys):
    topaz("segment small/{n}.mrc -m {m} -o maps -d -1 -p 64", n=NAMES[0], m=model)
    topaz("extract maps -m none -r 5 -t -4 -o a.txt")
    topaz("extract small/{n}.mrc -m {m} -r 5 -t -4 -d -1 -o b.txt", n=NAMES[0], m=model)
    a, b = (read_picks(name) for name in ("a.txt", "b.txt"))
    assert len(a) == len(b) > 5
    np.testing.assert_allclose(np.sort(a.scores), np.sort(b.scores), atol=1e-3)


def test_precision_recall_curve(work, model, capsys):
    topaz("extract small -m {m} -r 5 -t -4 -d -1 -o p.txt", m=model)
    capsys.readouterr()
    topaz("precision_recall_curve --predicted p.txt --targets small.txt -r 4 --images union")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("# auprc=")
    assert lines[1] == "threshold\tprecision\trecall\tf1"


TRAIN = "train --train-images small --train-targets small.txt -n 170 -r 2 -d -1 "


@pytest.mark.parametrize(
    ("more", "columns"),
    [
        ("--method PN", "epoch iter split loss precision tpr fpr auprc"),
        ("--method PU", "epoch iter split loss precision tpr fpr auprc"),
        ("--method GE-KL --natural", "epoch iter split loss ge_penalty precision tpr fpr auprc"),
        (
            "--autoencoder 1 --ngf 4 -m resnet6 --no-pretrained",
            "epoch iter split loss ge_penalty recon_error precision tpr fpr auprc",
        ),
    ],
)
def test_columns_of_the_curve(work, capsys, more, columns):
    topaz(f"{TRAIN} {SHORT} --num-epochs 1 {more}")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == columns.split()
    assert len(lines) == 2  # no test micrographs: no row of a test
    assert all(lines[1].split("\t"))


def test_training_from_random_weights_is_training_from_nothing(work):
    """Batch normalization learns, and nothing of the first weights is kept."""
    topaz(f"{TRAIN} {SHORT} --num-epochs 1 --epoch-size 9 --no-pretrained --save-prefix a/m -o a/c.txt")
    norms = [m for m in load_network("a/m_epoch1.sav")[0].modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert all((norm.running_mean != 0).any() for norm in norms)


def test_a_network_of_pick_goes_on_with_what_it_has_seen(work):
    save_network("own.safetensors", Classifier(NetworkSettings(units=2)), {"normalization": "flat", "inverted": True})
    topaz(f"{TRAIN} {SHORT} --num-epochs 1 --epoch-size 2 -m own.safetensors --save-prefix a/m -o a/c.txt")
    about = load_network("a/m_epoch1.sav")[1]
    assert (about["normalization"], about["inverted"]) == ("flat", True)


def test_a_bad_extension_in_a_list_is_told(work, capsys):
    Path("list").write_text(f"small/{NAMES[0]}.mrc\nsmall/movie.eer\n")
    assert main(["extract", "list", "-m", "none", "-r", "5", "-d", "-1", "-o", "o.txt"]) == 1
    assert ".eer" in capsys.readouterr().err


def test_labels_of_unreadable_micrographs_only(work, capsys):
    shutil.copytree("small", "mine")
    with open(f"mine/{NAMES[0]}.mrc", "r+b") as file:
        file.truncate(5000)
    rows = Path("small.txt").read_text().splitlines()
    Path("one.txt").write_text("\n".join([rows[0], *(r for r in rows[1:] if r.startswith(NAMES[0]))]) + "\n")
    assert main(f"train --train-images mine --train-targets one.txt -n 170 -r 2 -d -1 {SHORT} -o c.txt".split()) == 2
    assert "one.txt: no micrograph that has labels can be read" in capsys.readouterr().err


def test_boxes_have_the_radius_that_was_found(work, model):
    topaz("extract small/{n}.mrc -m {m} --targets small.txt --min-radius 6 --max-radius 6 -t -4 -d -1 "
          "--per-micrograph --format box -o s", n=NAMES[0], m=model)  # fmt: skip
    assert Path(f"s/{NAMES[0]}.box").read_text().split()[2:4] == ["12", "12"]


def test_epochs_of_two_digits_are_padded_and_training_goes_on_from_a_file(work, capsys):
    topaz(f"{TRAIN} {SHORT} --num-epochs 11 --epoch-size 1 --minibatch-size 8 --save-prefix a/m -o a/c.txt")
    assert {"m_epoch01.sav", "m_epoch11.sav"} < {p.name for p in Path("a").iterdir()}
    capsys.readouterr()
    topaz(f"{TRAIN} {SHORT} --num-epochs 1 -m a/m_epoch11.sav --model a/m_epoch11.sav --save-prefix b/m -o b/c.txt")
    assert "Loading model: a/m_epoch11.sav" in capsys.readouterr().err
    topaz("train --describe --train-images x --train-targets y --model conv31 --units 3 --no-pretrained")
    assert "Conv2d(1, 3" in capsys.readouterr().out


def test_labels_in_the_wrong_scale_are_refused(work, capsys):
    assert main(f"train --train-images small --train-targets labels.txt -n 170 {SHORT}".split()) == 2
    assert "divided by" in capsys.readouterr().err


def test_paths_from_a_list_file_and_a_glob_are_the_folder(work, model):
    Path("list").write_text("\n".join(f"small/{name}.mrc" for name in NAMES))
    for number, item in enumerate(("list", "small/*.mrc", "small")):
        assert main(["extract", item, "-m", str(model), "-r", "5", "-t", "-4", "-d", "-1", "-o", f"{number}.txt"]) == 0
    assert Path("0.txt").read_text() == Path("1.txt").read_text() == Path("2.txt").read_text()


def test_retired_flags_of_preprocess(work):
    topaz("preprocess raw/{n}.mrc -s 4 --pixel-sampling 25 --seed 1 --metadata -o D --format mrc,tiff,png", n=NAMES[0])
    shown = {p.suffix for p in Path("D").iterdir() if not p.name.startswith(".")}
    assert shown == {".mrc", ".tiff", ".png", ".json"}


def test_no_path_at_all(work, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["extract", "-r", "5", "-m", "none"]) == 2
    assert "no micrograph is given" in capsys.readouterr().err


def test_via_csv_reads_as_topaz_does(work):
    topaz("convert --to csv -o v.csv small.txt")
    assert records("v.csv", ",")[0]["file_size"] == "-1"
    topaz("convert --from csv -o back.txt v.csv")
    assert sorted(table(Path("back.txt"))) == sorted(table(Path("small.txt")))
