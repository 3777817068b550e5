"""The command lines of programs that call Topaz, each as it stands there, its results read as that program reads them.

Only SHORT is appended, to make training quick: of a repeated option the last wins.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from topaz_helpers import (
    FACTOR,
    NAMES,
    PROGRAM,
    SHORT,
    environment,
    executable,
    records,
    table,
    topaz_process,
)  # fmt: skip

# A name as short as the program's: the lines below are those of its callers.
topaz = topaz_process


def relion_lists(folder: Path) -> None:
    """Write RELION's proc/: image lists and targets, with paths that are absolute."""
    proc = folder / "proc"
    proc.mkdir()
    rows = table(folder / "small.txt")
    for part, names in (("train", NAMES[:2]), ("test", NAMES[2:])):
        for name in names:
            (proc / f"{name}.mrc").write_bytes((folder / "small" / f"{name}.mrc").read_bytes())
        listed = [f"{name}\t{(proc / name).absolute()}.mrc" for name in names]
        (proc / f"image_list_{part}.txt").write_text("\n".join(["image_name\tpath", *listed]) + "\n")
        own = ["\t".join(row) for row in rows if row[0] in ("image_name", *names)]
        (proc / f"target_list_{part}.txt").write_text("\n".join(own) + "\n")


def relion_reads(path: Path) -> list[tuple[float, float, float]]:
    """Read a rank's file as RELION does: columns found by what their names contain, until a line of under 2 characters."""
    with path.open() as file:
        header = file.readline().split()
        columns = [next(k for k, word in enumerate(header) if name in word) for name in ("x_coord", "y_coord", "score")]
        assert len(header) >= 3
        rows = []
        for line in file:
            if len(line) < 2:
                break
            words = line.split()
            rows.append(tuple(float(words[k]) for k in columns))
    return rows


@pytest.mark.parametrize("device", ["-d 0 ", ""])
def test_relion_train(work, device):
    relion_lists(work)
    done = topaz(
        f"train  -n 200 -r 2 {device}-o model_training.txt --num-threads=1 --num-workers=1 "
        "--train-images=proc/image_list_train.txt --test-images=proc/image_list_test.txt "
        "--train-targets=proc/target_list_train.txt --test-targets=proc/target_list_test.txt --save-prefix=model "
        + SHORT
    )
    assert (work / "model_epoch10.sav").is_file()
    assert (work / "model_epoch1.sav").is_file()
    assert done.stdout == ""
    assert pipeliner_best(work / "model_training.txt").is_file()


def pipeliner_best(curve: Path) -> Path:
    """Choose an epoch as CCP-EM's Pipeliner does: split at white space, best precision of the test rows."""
    header, *rows = [re.split(r"\s+", line.strip()) for line in curve.read_text().splitlines()]
    assert header == ["epoch", "iter", "split", "loss", "ge_penalty", "precision", "tpr", "fpr", "auprc"]
    assert all(len(row) == len(header) for row in rows)
    test = [dict(zip(header, row, strict=True)) for row in rows if row[2] == "test"]
    assert [row["epoch"] for row in test] == [str(k) for k in range(1, 11)]
    values = [[float(row[name]) for name in ("precision", "tpr", "fpr", "loss")] for row in test]
    best = test[int(np.argmax([v[0] for v in values]))]
    model = curve.parent / f"{curve.stem.removesuffix('_training')}_epoch{int(best['epoch'])}.sav"
    assert {int(p.stem.split("_epoch")[1]) for p in curve.parent.glob("model_epoch*.sav")} == set(range(1, 11))
    return model


def test_relion_extract(work, model):
    topaz("extract -t -4 -r 5 -d -1 -x {f} -m {m} -o out.txt small/{n}.mrc", f=FACTOR, m=model, n=NAMES[0])
    rows = relion_reads(work / "out.txt")
    assert len(rows) > 5
    assert all(x == int(x) and y == int(y) and 0 <= x < 620 and 0 <= y < 620 for x, y, _ in rows)
    scores = [score for _, _, score in rows]
    assert scores == sorted(scores, reverse=True)


def test_relion_ranks_at_the_same_time_in_one_folder_and_no_picks_at_all(work, model):
    """Several processes, as of MPI: each writes its own file, and a header where nothing is found."""
    lines = [
        ["extract", "-t", threshold, "-r", "5", "-d", device, "-x", "4", "-m", str(model), "-o", f"proc/{rank}.txt"]
        for rank, (threshold, device) in enumerate([("-4", "0"), ("1000", "-1")])
    ]
    processes = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, *line, f"small/{NAMES[0]}.mrc"], env=environment(),
                         stderr=subprocess.PIPE, text=True)
        for line in lines
    ]  # fmt: skip
    logs = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(p.name for p in Path("proc").iterdir()) == ["0.txt", "1.txt"]
    assert len(relion_reads(Path("proc/0.txt"))) > 5
    assert Path("proc/1.txt").read_text() == "image_name\tx_coord\ty_coord\tscore\n"
    assert sum("RUNNING ON THE PROCESSOR" in line for line in logs[0].splitlines()) == 1
    assert "PROCESSOR" not in logs[1]
    assert all(line.startswith("# ") for log in logs for line in log.splitlines())


def test_relion_filaments(work, tmp_path):
    """A score map with one bright line: its two ends come back, score 0."""
    y, x = np.mgrid[:120, :160]
    scores = np.where(np.abs(y - 0.5 * x - 20) < 5, 4.0, -4.0) * ((x > 20) & (x < 130))
    mrcfile.write(tmp_path / "map.mrc", scores.astype(np.float32))
    topaz("extract --filaments --filaments_length 30 --filaments_plot -t 0 -r 8 -d -1 -x 2 -m none -o o.txt map.mrc")
    rows = relion_reads(Path("o.txt"))
    assert len(rows) == 2
    ends = sorted(rows)
    assert np.hypot(ends[0][0] - 2 * 20, ends[0][1] - 2 * 30) < 16
    assert np.hypot(ends[1][0] - 2 * 130, ends[1][1] - 2 * 85) < 16
    assert {score for _, _, score in rows} == {0.0}
    with Image.open("map_filaments.png") as image:
        assert image.size[0] > 100
    topaz("extract -t 0 -r 8 -d -1 -x 2 -m none -o o.txt map.mrc -f -fp -fl 300")
    assert relion_reads(Path("o.txt")) == []


def test_cryosparc_version():
    found = executable("--version")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", found.stdout)
    assert tuple(map(int, found.stdout.split("."))) >= (0, 2, 3)
    assert (found.returncode, found.stderr) == (0, "")


def test_cryosparc_before_4(monkeypatch):
    monkeypatch.setenv("HELIODOR_TOPAZ_VERSION", "TOPAZ 0.2.5")
    assert topaz("--version").stdout == "TOPAZ 0.2.5\n"


def test_cryosparc_split_and_train(work):
    job = work / "J12"
    job.mkdir()
    (job / "topaz_particles_raw.txt").write_bytes((work / "labels.txt").read_bytes())
    topaz(
        "preprocess --scale 4 --niters 200 --num-workers 8 -o {j}/preprocessed {raw}",
        j=job,
        raw=sorted(work.glob("raw/*")),
    )
    topaz("convert --down-scale 4 -o {j}/topaz_particles_processed.txt {j}/topaz_particles_raw.txt", j=job)
    topaz(
        "train_test_split --number 1 --seed 700124987 --image-dir {j}/preprocessed {j}/topaz_particles_processed.txt",
        j=job,
    )
    for part, count in (("train", 2), ("test", 1)):
        listed = table(job / f"image_list_{part}.txt")
        assert (listed[0], len(listed)) == (["image_name", "path"], count + 1)
        assert all(Path(path).is_absolute() and Path(path).is_file() for _, path in listed[1:])
        assert {row[0] for row in table(job / f"topaz_particles_processed_{part}.txt")[1:]} == {
            n for n, _ in listed[1:]
        }
    topaz(
        "train --train-images {j}/image_list_train.txt --train-targets {j}/topaz_particles_processed_train.txt "
        "--test-images {j}/image_list_test.txt --test-targets {j}/topaz_particles_processed_test.txt --num-particles 500 "
        "--learning-rate 0.0002 --minibatch-size 128 --num-epochs 10 --method GE-binomial --slack -1.0 --autoencoder 0.0 "
        "--l2 0.0 --minibatch-balance 0.0625 --epoch-size 5000 --model resnet8 --units 32 --dropout 0.0 --bn on "
        "--unit-scaling 2 --ngf 32 --num-workers 1 --cross-validation-seed 1039026690 --radius 2 --num-particles 170 "
        "--device 0 --no-pretrained --save-prefix={j}/models/model -o {j}/train_test_curve.txt -s 0 -p 0 " + SHORT, j=job
    )  # fmt: skip
    rows = records(job / "train_test_curve.txt")
    assert sum(row["split"] == "test" for row in rows) == 10
    assert sorted(p.name for p in (job / "models").iterdir()) == sorted(f"model_epoch{k}.sav" for k in range(1, 11))


def test_cryosparc_cross_validation(work):
    topaz(
        "train --train-images small --train-targets small.txt --k-fold 2 --fold 0 --num-particles 170.0 --radius 2.0 "
        "--minibatch-size 128.0 --num-epochs 3.0 --save-prefix cv/model -o train_test_curve.txt " + SHORT
    )
    rows = records(Path("train_test_curve.txt"))
    test = [row for row in rows if row["split"] == "test"]
    assert len(test) == 3
    assert all(0 < float(row["auprc"]) < 1 for row in test)


def test_cryosparc_extract(work, model):
    topaz(
        "extract --radius 5 --threshold -4 --up-scale 4 --assignment-radius -1 --min-radius 5 --max-radius 100 "
        "--step-radius 5 --num-workers 4 --device 0 --model {m} -o topaz_picked_particles.txt {p}",
        m=model, p=[f"small/{name}.mrc" for name in NAMES],
    )  # fmt: skip
    rows = records(Path("topaz_picked_particles.txt"))
    assert list(dict.fromkeys(row["image_name"] for row in rows)) == list(NAMES)
    topaz("convert --down-scale 16 --threshold 0 -o topaz_particles_processed.txt topaz_picked_particles.txt")
    assert all(float(row[3]) >= 0 for row in table(Path("topaz_particles_processed.txt"))[1:])


def test_pipeliner_asks_the_package_for_its_version():
    found = subprocess.run([sys.executable, "-c", "import topaz; print(f'topaz {topaz.__version__}')"], env=environment(),
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert found.stdout == "topaz 0.2.5\n"


def test_scipion(work):
    """Names in lists are numbers of six digits, links are numbers without zeros."""
    (work / "mics").mkdir()
    rows = table(work / "labels.txt")
    for number, name in enumerate(NAMES, 1):
        (work / "mics" / f"{number}.mrc").symlink_to(work / "raw" / f"{name}.mrc")
    topaz("preprocess  {m} -o OUT/ --scale 4  --num-workers 4 --device 0", m=sorted(work.glob("mics/*.mrc")))
    own = [[f"{NAMES.index(n) + 1:06d}", str(int(x) // 4), str(int(y) // 4)] for n, x, y in rows[1:]]
    lists = {
        "images.txt": [["image_name", "path"], *([f"{k:06d}", f"OUT/{k}.mrc"] for k in (1, 2, 3))],
        "targets.txt": [["image_name", "x_coord", "y_coord"], *own],
    }
    for name, lines in lists.items():
        with open(name, "w") as file:
            csv.writer(file, delimiter="\t").writerows(lines)  # lines end as in DOS
    topaz(
        "train --radius 2 --autoencoder 0.000000 --num-epochs 2 --model resnet8 --method GE-binomial --num-particles 170 "
        "--train-images images.txt --train-targets targets.txt --test-images images.txt --test-targets targets.txt "
        "--num-workers 4 --device 0 --save-prefix extra/model -o extra/model_training.txt " + SHORT
    )
    last = sorted(p for p in os.listdir("extra") if p.endswith(".sav"))[-1]
    topaz(
        "extract -t 0.1 -r 5 -m extra/{l} -o picks.txt --num-workers 4 --device 0 {s}",
        l=last,
        s=sorted(work.glob("OUT/*.mrc")),
    )
    with open("picks.txt") as file:
        file.readline()
        for line in file:
            row = line.split("\t")
            assert int(row[0]) in (1, 2, 3)
            assert [float(word) for word in row[1:]]


def test_repic(work):
    topaz("preprocess -s 4 --sample 1 -o down/ {m}", m=sorted(work.glob("raw/*.mrc")))
    topaz("convert --boxsize 40 -o boxes/ labels.txt")
    (work / "boxes" / "empty.box").write_text("")
    topaz("convert -s 4 -o particles_train_downsampled.txt {b}", b=sorted(work.glob("boxes/*.box")))
    topaz(
        "train --num-particles 170 --num-workers 8 --minibatch-size 64 --minibatch-balance 0.1 --model resnet16 --units 64 "
        "--train-images down/ --train-targets particles_train_downsampled.txt --test-images down/ "
        "--test-targets particles_train_downsampled.txt --save-prefix OUT/model --no-pretrained -o OUT/curve.txt "
        + SHORT
    )
    assert Path("OUT/model_epoch10.sav").is_file()
    topaz(
        "extract -r 5 -x 4 -m OUT/model_epoch10.sav -o predicted_particles_all_upsampled.txt {d}",
        d=sorted(work.glob("down/*.mrc")),
    )
    rows = table(Path("predicted_particles_all_upsampled.txt"))
    assert rows[0] == ["image_name", "x_coord", "y_coord", "score"]
    assert all(int(row[1]) % 4 == 0 for row in rows[1:])


def test_eman2(work, model):
    topaz("convert --boxsize 41 -o boxfiles/ labels.txt")
    topaz("convert -s 4 -o particles.txt {b}", b=sorted(work.glob("boxfiles/*.box")))
    topaz("preprocess -s 4 -o DIR/ {m}", m=sorted(work.glob("raw/*.mrc")))
    topaz(
        "train --train-images DIR/ --train-targets particles.txt --radius 3 --model conv31 --image-ext .mrc --method GE-binomial "
        "--autoencoder 0 --num-particles 170 --epoch-size 1000 --num-epochs 10 --num-workers 2 --device -1 "
        "--save-prefix topaz/model --output topaz/results.txt " + SHORT
    )
    assert Path("topaz/model_epoch10.sav").is_file()
    topaz(
        "extract small/{n}.mrc --model {m} --radius 5 --threshold -4 --num-workers 2 --output F.txt",
        n=NAMES[0],
        m=model,
    )
    topaz("convert -x 4 -o full.txt F.txt")
    rows = [(row[0], int(row[1]), int(row[2])) for row in table(Path("full.txt"))[1:]]
    assert len(rows) > 5


def test_appion_trains_on_png_and_globs_are_expanded(work):
    topaz(
        "preprocess {m} --scale 4 --num-workers 2 --format mrc,png --niters 200 --verbose --destdir IN",
        m=sorted(work.glob("raw/*.mrc")),
    )
    topaz(
        "train --train-images IN --train-targets small.txt --output OUT/results.txt --save-prefix OUT/ --radius 2 "
        "--autoencoder 0 --num-epochs 2 --device -1 --num-workers -1 --model resnet8 --method GE-binomial "
        "--num-particles 170 --k-fold 3 --fold 0 --image-ext .png --units 32 --dropout 0.0 --bn on --unit-scaling 2 --ngf 32 "
        "--l2 0.0 --learning-rate 0.0002 --minibatch-size 256 --minibatch-balance 0.0625 --epoch-size 5000 "
        "--test-batch-size 1 " + SHORT
    )
    assert sorted(os.listdir("OUT")) == ["_epoch1.sav", "_epoch2.sav", "results.txt"]
    topaz(
        'extract "IN/*.mrc" --model OUT/_epoch2.sav --radius 5 --output F --up-scale 1 --num-workers -1 --device 0 '
        "--threshold 0.5 --min-radius 5 --max-radius 100 --step-radius 5"
    )
    assert all(len([float(word) for word in row[1:4]]) == 3 for row in table(Path("F"))[1:])


def test_relion_run_topaz(work, model):
    topaz(
        "preprocess {m} --scale 4 --sample 1 --num-workers -1 --format mrc --device 0 --niters 100 --alpha 900 --beta 1 "
        "--verbose --destdir DIR", m=sorted(work.glob("raw/*.mrc")),
    )  # fmt: skip
    topaz(
        "extract {d} --model {m} --radius 5 --threshold -4 --up-scale 1 --batch-size 1 --min-radius 5 --max-radius 100 "
        "--step-radius 5 --num-workers -1 --device 0 --output F.txt", d=sorted(work.glob("DIR/*mrc")), m=model,
    )  # fmt: skip
    topaz(
        "convert F.txt --threshold 0 --up-scale 4 --down-scale 1 --voltage -1 --detector-pixel-size -1 --magnification -1 "
        "--amplitude-contrast -1 --boxsize 0 --image-ext .mrc --verbose 1 --output G.txt"
    )
    kept = [row for row in table(Path("F.txt"))[1:] if float(row[3]) >= 0]
    picked = dict.fromkeys(NAMES, 0)  # its script writes a STAR file for each, from columns one to four
    for name, x, y, score in table(Path("F.txt"))[1:]:
        picked[name] += float(x) >= 0 and float(y) >= 0 and float(score) > -4
    assert min(picked.values()) > 5
    assert [[int(r[1]), int(r[2])] for r in table(Path("G.txt"))[1:]] == [[4 * int(r[1]), 4 * int(r[2])] for r in kept]
    topaz("convert -s 4 labels.txt -o IN.txt")
    topaz(
        "train --train-images DIR --train-targets IN.txt --k-fold 3 --fold 0 --num-particles 170 --radius 2 --num-workers -1 "
        "--test-batch-size 1 --device 0 --num-epochs 2 --save-prefix p/m -o p/curve.txt " + SHORT
    )
    assert len(table(Path("p/curve.txt"))) == 1 + 2 * 2


def test_topaz_2_5d(work, model):
    """Its `extract --input LIST` is a flag that no release of Topaz has."""
    topaz(
        'preprocess "raw/*.mrc" --verbose --scale 4 --sample 1 --num-workers -1 --format mrc --device 0 --niters 100 --destdir D'
    )
    Path("list.txt").write_text("\n".join(f"D/{name}.mrc" for name in NAMES) + "\n")
    topaz(
        "extract --model {m} --radius 5 --up-scale 4 --threshold -4 --num-workers -1 --device 0 --output o.txt --input list.txt",
        m=model,
    )
    assert {row[0] for row in table(Path("o.txt"))[1:]} == set(NAMES)


def test_slabpick(work, model):
    topaz("preprocess -v -s 4 -o processed {m}", m=sorted(work.glob("raw/*.mrc")))
    topaz("convert -s 4 -o particles.txt labels.txt")
    topaz("train_test_split -n 1 --image-dir processed particles.txt")
    topaz(
        "train -n 170 -r 2 --num-workers=4 --train-images image_list_train.txt --train-targets particles_train.txt "
        "--test-images image_list_test.txt --test-targets particles_test.txt --save-prefix saved/model -o curve.txt "
        "--num-epochs 2 " + SHORT
    )
    topaz("extract -r 5 -m {m} -o extracted.txt {p}", m=model, p=sorted(work.glob("processed/*.mrc")))
    assert table(Path("extracted.txt"))[0] == ["image_name", "x_coord", "y_coord", "score"]


def test_magellon_commands(work, model):
    raw = f"raw/{NAMES[0]}.mrc"
    topaz("downsample -s 4 -o down.mrc {r}", r=raw)
    topaz("normalize -o normal down.mrc")
    subprocess.run(
        [sys.executable, "-m", "topaz.commands.downsample", "-s", "4", "-o", "again.mrc", raw],
        env=environment(),
        check=True,
    )
    np.testing.assert_array_equal(mrcfile.read("again.mrc"), mrcfile.read("down.mrc"))
    assert (mrcfile.read("down.mrc").shape, mrcfile.read("normal/down.mrc").dtype) == ((150, 155), np.float32)
    topaz("extract -m {m} -r 5 -t -4 --format coord -o out.txt normal/down.mrc", m=model)
    assert {row[0] for row in table(Path("out.txt"))[1:]} == {"down"}
    topaz("preprocess --scale 4 --destdir D {r}", r=raw)
    assert mrcfile.read(f"D/{NAMES[0]}.mrc").shape == (150, 155)


def test_magellon_runs_the_file_of_a_command(work):
    """Not the command: `python .../topaz/commands/train.py ...`."""
    commands = Path(__file__).parents[2] / "topaz/src/topaz/commands"
    words = "-n 170 -r 2 --train-images small --train-targets small.txt --save-prefix m/m -o m/c.txt --num-epochs 1"
    subprocess.run([sys.executable, commands / "train.py", *f"{words} {SHORT}".split()], env=environment(), check=True)
    assert sorted(os.listdir("m")) == ["c.txt", "m_epoch1.sav"]


@pytest.mark.filterwarnings("ignore")  # torch's, of this way to export
def test_magellon_exports_onnx_that_scores_the_same(work, model):
    """Its own test: dense scores within 1e-4, at another size than the one that was traced."""
    import onnxruntime
    import torch

    from topaz.model.factory import load_model

    network = load_model(str(model))
    network.eval()
    network.fill()
    image = torch.from_numpy(mrcfile.read(f"small/{NAMES[0]}.mrc"))[None, None]
    axes = {name: {0: "batch", 2: "rows", 3: "columns"} for name in ("input", "output")}
    torch.onnx.export(network, image[..., :90, :100], "model.onnx", input_names=["input"], output_names=["output"],
                      dynamic_axes=axes, dynamo=False)  # fmt: skip
    found = onnxruntime.InferenceSession("model.onnx").run(None, {"input": image.numpy()})[0]
    with torch.no_grad():
        np.testing.assert_allclose(found, network(image).numpy(), atol=1e-4)


def test_magellon_denoisers(tmp_path):
    import torch

    from heliodor.denoise import Denoiser, DenoiserSettings, save_denoiser
    from topaz.denoising.models import load_model

    saved = Denoiser(DenoiserSettings("affine"))
    save_denoiser(tmp_path / "model.sav", saved)
    network, image = load_model(str(tmp_path / "model.sav")), torch.randn(1, 1, 40, 50)
    assert not network.training
    with torch.no_grad():
        torch.testing.assert_close(network(image), saved(image))


def test_magellon_python(work, model):
    import torch

    from topaz.model.factory import load_model

    network = load_model(str(model))
    network.eval()
    assert network.fill() == 4
    image = torch.from_numpy(mrcfile.read(f"small/{NAMES[0]}.mrc"))[None, None]
    with torch.no_grad():
        scores = network(image)
    assert scores.shape == image.shape
    network.unfill()
    with torch.no_grad():
        assert network(image).shape[-1] == (image.shape[-1] - network.width) // 4 + 1


def test_diamond_python(work, model):
    from topaz.algorithms import non_maximum_suppression
    from topaz.extract import score_images
    from topaz.model.factory import load_model
    from topaz.stats import normalize_images

    normalize_images([f"raw/{NAMES[0]}.mrc"], "normal", num_workers=0, scale=4, affine=False, niters=100, alpha=900, beta=1,
                     sample=10, metadata=False, formats=["mrc"], use_cuda=False, verbose=False)  # fmt: skip
    stream = score_images(load_model(str(model)), [f"normal/{NAMES[0]}.mrc"], -1, batch_size=1)
    path, scores = next(iter(stream))
    assert (path, scores.shape) == (f"normal/{NAMES[0]}.mrc", (150, 155))
    best, xy = non_maximum_suppression(scores, 5, threshold=-4)
    assert len(best) == len(xy) > 5
    assert scores[xy[0][1], xy[0][0]] == best[0] == scores.max()


def test_biowulf(work, model):
    topaz(
        "preprocess raw/{n}.mrc --scale 4 --format mrc,png --device 0 --niters 100 --alpha 900 --beta 1 --sample 1 --verbose --destdir D",
        n=NAMES[0],
    )
    topaz(
        "extract --model {m} --radius 8 --threshold -6 --up-scale 1 --batch-size 1 --min-radius 5 -o o.txt D/*.mrc",
        m=model,
    )
    assert len(table(Path("o.txt"))) > 1


def test_diamond_denoises_tomograms_elsewhere(work):
    """By Python or by the command, the answer is one line that says so."""
    from topaz.denoise import Denoise3D, denoise_tomogram_stream

    with pytest.raises(NotImplementedError, match="topaz-em has it"):
        Denoise3D("unet-3d", True)
    with pytest.raises(NotImplementedError, match="topaz-em has it"):
        denoise_tomogram_stream(volumes=["x.mrc"], model=None, output_path="x", suffix="", gaus=None, patch_size=96,
                                padding=48, verbose=True, use_cuda=False)  # fmt: skip
    line = "denoise3d x.mrc -o D --suffix .denoised -m unet-3d-10a -g 0 -s 96 -p 48 -d -2"
    done = executable(*line.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "topaz-em has it" in done.stderr


def test_cryoclear(work, tmp_path, monkeypatch):
    """With a network by its name: from the folder of an installed topaz-em, here with weights of chance."""
    from heliodor.networks import NetworkSettings, build, export_topaz

    network = build(NetworkSettings("resnet16", 64, batch_norm=False)).eval()
    export_topaz(tmp_path / "weights/detector/resnet16_u64.sav", network)
    monkeypatch.setenv("HELIODOR_TOPAZ_WEIGHTS", str(tmp_path / "weights"))
    topaz("preprocess -s 4 --num-workers 16 -o processed {r}", r=sorted(work.glob("raw/*.mrc")))
    topaz("extract -r 10 -m resnet16_u64 -o picks.txt {p}", p=sorted(work.glob("processed/*.mrc")))
    assert relion_reads(Path("picks.txt"))
    first = Path("picks.txt").read_text()
    topaz("extract -r 10 -o picks.txt {p}", p=sorted(work.glob("processed/*.mrc")))  # REPIC's and RELION's, without -m
    assert Path("picks.txt").read_text() == first


@pytest.fixture(scope="module")
def denoiser(data) -> Path:
    """A network that denoises, untrained: what counts here is what goes where."""
    from heliodor.denoise import Denoiser, DenoiserSettings, save_denoiser

    save_denoiser(data / "given" / "denoiser.sav", Denoiser(DenoiserSettings("affine")).eval())
    return data / "given" / "denoiser.sav"


@pytest.mark.parametrize(
    "line",
    [
        # RELION's manual picker, cryoSPARC, Scipion, Appion (whole images and pieces), relion_run_topaz; each has its own
        # words for the model, replaced by an appended one.
        "denoise {mic} --output DIR --device 0 --patch-size 1024 --patch-padding 256 --normalize",
        "denoise {mic} --device 0 --format mrc --normalize --patch-size 1536 --patch-padding 256 --output DIR --lowpass 1 "
        "--gaussian 0 --inv-gaussian 0 --deconv-patch 1 --pixel-cutoff 0 --model unet",
        "denoise  {mic} -o DIR/ --model affineresnet8 --device 0 --patch-size 100 --normalize",
        "denoise {mic} --format mrc --model unet --patch-size -1 --patch-padding 128 --output DIR",
        "denoise {mic} --model unet --device -1 --format mrc --patch-size 1280 --patch-padding 384 --normalize --lowpass 1 "
        "--gaussian 0 --inv-gaussian 0 --deconv-patch 1 --pixel-cutoff 0 --output DIR",
    ],
)
def test_denoise_writes_the_same_name_and_size(work, denoiser, line):
    topaz(line + " --model {m}", mic=f"small/{NAMES[0]}.mrc", m=denoiser)
    found = mrcfile.read(f"DIR/{NAMES[0]}.mrc")
    assert (found.shape, found.dtype) == (mrcfile.read(f"small/{NAMES[0]}.mrc").shape, np.float32)
    assert np.isfinite(found).all()


def test_denoise_trains_on_halves(work):
    topaz(
        "denoise --dir-a small/ --dir-b small/ --criteria L2 --preload --num-epochs 100 --device -1 --num-workers 2 "
        "--save-prefix P/d --num-epochs 1 --crop 64 --arch affine"
    )
    assert [p.name for p in Path("P").iterdir()] == ["d_epoch1.sav"]


def test_the_page_of_topaz_makes_this_line(work):
    """Its own csv is VIA's; coordinates in it are of the PNG, which is as large as the MRC."""
    topaz("convert --to csv -o via.csv small.txt")
    first = records("via.csv", ",")[0]
    assert (first["filename"], json.loads(first["region_shape_attributes"])["name"]) == (f"{NAMES[0]}.png", "point")
    topaz(
        "train --train-images small --train-targets via.csv --num-particles 170 --radius 2 --k-fold 3 --fold 0 "
        "--epoch-size 5000 --num-epochs 1 --save-prefix v/m -o v/c.txt " + SHORT
    )
    assert Path("v/m_epoch1.sav").is_file()


def test_standard_output_holds_data_only(work, model):
    found = topaz("extract -r 5 -t -4 -m {m}", m=model, stdin=f"small/{NAMES[0]}.mrc\nsmall/{NAMES[1]}.mrc\n").stdout
    assert found.splitlines()[0] == "image_name\tx_coord\ty_coord\tscore"
    assert {line.split("\t")[0] for line in found.splitlines()[1:]} == set(NAMES[:2])
