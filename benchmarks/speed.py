"""Speed of heliodor beside topaz-em: whole processes, same inputs, same threads, in turn.

python benchmarks/speed.py --out runs/

installs topaz-em from the Python package index in runs/topaz (or takes --topaz PATH), makes the inputs, measures every
row in several alternating pairs, and writes runs/speed.md and runs/speed.json. A row that is in runs/speed.json and was
measured with the same options is not measured again; --rows chooses some.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import venv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from processes import Step, measure
from speed_tables import report

TOPAZ = "topaz-em==0.3.20"
HERE = Path(__file__).parent
MATTERS = ("threads", "device", "pairs", "frames", "micrographs", "draws")  # options that a row is measured with


@dataclass(frozen=True)
class Row:
    """Work that both programs do, or that heliodor does alone.

    Parameters
    ----------
    name : str
    heliodor : list of str
        The command line. A first word that ends in .py is run by the program's own Python, and prints seconds.
    topaz : list of str or None
    target : float, optional
        The ratio of wall times, topaz-em over heliodor, to reach.
    """

    name: str
    heliodor: list[str]
    topaz: list[str] | None
    target: float | None = None


def rows(inputs: Path, frames: int, micrographs: int, threads: int, device: str) -> dict[str, Row]:
    """All rows by the name that --rows takes."""
    raw_frames = sorted(str(path) for path in (inputs / "frames").glob("*.mrc"))[:frames]
    t, readers = str(threads), str(threads) if threads > 1 else "0"
    scoring = ["-m", "resnet8_u32", "-r", "8", "-t", "-6", "-d", device, "-j", t, "-o", "picks.txt"]
    found = {
        "version": Row("`--version`", ["--version"], ["--version"], 20),
        "help": Row("`--help`", ["--help"], ["--help"], 20),
        "preprocess": Row(
            f"`preprocess` of {len(raw_frames)} raw frames, 4096 to 512",
            ["preprocess", "-s", "8", "-t", t, "-o", "out", *raw_frames],
            ["preprocess", "-s", "8", "-d", device, "-j", "1", "-t", readers, "-o", "out", *raw_frames],
            10,
        ),
        "extract1": _same(
            "`extract` of one micrograph of 512 x 512", ["extract", *scoring, *_small(inputs, 512, 1)], 10
        ),
    }
    for side in (512, 1024):
        found[f"extract{side}"] = _same(
            f"`extract` of {micrographs} micrographs of {side} x {side}",
            ["extract", *scoring, *_small(inputs, side, micrographs)],
            15,
        )
    script, scores = str(HERE / "suppression.py"), str(inputs / "scores" / "scores.mrc")
    found["suppression"] = Row(
        "suppression alone, 1024 x 1024", [script, "heliodor", scores], [script, "topaz", scores], 30
    )
    raw = ["extract", "--raw", "-m", str(inputs / "conv31.safetensors"), "-d", device, "-j", t, "-o", "picks.txt"]
    found["k3"] = Row("K3 super-resolution frame, raw file to picks", [*raw, str(inputs / "k3" / "k3.mrc")], None)
    return found


TRAINING = {f"train-{model}": model for model in ("conv31", "resnet8")}  # --rows name -> network


def training_row(key: str, programs: dict[str, str], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure how long training takes until it is as good as topaz-em's; see training_time.py."""
    # Here, since numpy in this process would count as memory of all processes that it starts.
    from datasets import apoferritin
    from training_time import measure_training

    model = TRAINING[key]
    runs = measure_training(
        model, programs, apoferritin(options.data.resolve()), options.draws, options.threads, folder
    )
    name = f"`train` {model}, 100 labels, until the average precision of topaz-em's 10,000 updates"
    return {"name": name, "target": 20, "threads": options.threads, "runs": runs}


def _same(name: str, words: list[str], target: float) -> Row:
    return Row(name, words, words, target)


def _small(inputs: Path, side: int, count: int) -> list[str]:
    return sorted(str(path) for path in (inputs / f"small{side}").glob("*.mrc"))[:count]


def measure_row(row: Row, programs: dict[str, str], pairs: int, threads: int, folder: Path) -> list[dict[str, Step]]:
    """Run the programs in turn, so that a change of the machine's load meets both."""
    found = []
    for pair in range(pairs + 1):
        steps = {}
        for name, program in programs.items():
            words = row.heliodor if name == "heliodor" else row.topaz
            if words is None:
                continue
            work = folder / name
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            script = words[0].endswith(".py")
            command = [str(Path(program).parent / "python"), *words] if script else [program, *words]
            steps[name] = measure(name, command, work, threads, variables=_variables(programs, folder))
            if script:
                steps[name] = Step(
                    name, "", float((work / f"{name}.log").read_text().split()[-1]), 0.0, 0.0
                )  # only wall time
        if pair:  # the first fills caches: of the file system, of compiled models
            found.append(steps)
    return found


def _variables(programs: dict[str, str], folder: Path) -> dict[str, str]:
    """Where heliodor finds the weights of topaz-em, and keeps compiled models."""
    found = {"HELIODOR_CACHE": str(folder / "cache")}
    if "topaz" in programs:
        packages = Path(programs["topaz"]).parent.parent / "lib"
        weights = next(packages.glob("python*/site-packages/topaz/pretrained"), None)
        found |= {} if weights is None else {"HELIODOR_TOPAZ_WEIGHTS": str(weights)}
    return found


def install_topaz(folder: Path) -> str:
    """Install topaz-em in an environment of its own, where it is not there yet; return the program's path."""
    program = folder / "bin" / "topaz"
    if not program.is_file():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "install", TOPAZ], check=True)
    return str(program)


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for inputs, environment and results")
    parser.add_argument("--topaz", help="program; default: installed from the package index; 'none': heliodor alone")
    parser.add_argument("--heliodor", default=str(Path(sys.executable).parent / "heliodor"), help="program")
    parser.add_argument("--pairs", type=int, default=5, help="of runs, after one that is not counted")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="-1", help="GPU number; negative: processors; training is on processors")
    parser.add_argument("--frames", type=int, default=20, help="raw frames to preprocess")
    parser.add_argument("--micrographs", type=int, default=50, help="to extract from in one process")
    parser.add_argument(
        "--data", type=Path, help="folder of apoferritin, which the rows of training need; see README.md"
    )
    parser.add_argument("--draws", type=int, default=3, help="of labels and test micrographs, of the rows of training")
    parser.add_argument("--rows", help="names with commas between them; default: all")
    options = parser.parse_args()
    if options.data is None and options.rows and set(options.rows.split(",")) & TRAINING.keys():
        parser.error("rows of training need --data")
    out = options.out.resolve()
    inputs = out / "inputs"
    python = str(Path(options.heliodor).parent / "python")
    counts = [str(options.frames), str(options.micrographs)]
    subprocess.run([python, str(HERE / "speed_inputs.py"), str(inputs), *counts], check=True)
    programs = {"heliodor": options.heliodor}
    if options.topaz != "none":
        programs["topaz"] = options.topaz or install_topaz(out / "topaz")
    known = rows(inputs, options.frames, options.micrographs, options.threads, options.device)
    record = out / "speed.json"
    results = json.loads(record.read_text()) if record.is_file() else {}
    if options.data is None:
        print(f"{', '.join(TRAINING)}: left out, they need --data", flush=True)
    asked = {name: getattr(options, name) for name in MATTERS}
    everything = [*known, *(TRAINING if options.data else [])]
    for key in options.rows.split(",") if options.rows else everything:
        if results.get(key, {}).get("asked") == asked:
            continue
        print(f"{key} ...", flush=True)
        if key in TRAINING:
            results[key] = {**training_row(key, programs, options, out / "training"), "asked": asked}
            record.write_text(json.dumps(results, indent=1) + "\n")
            continue
        pairs = measure_row(known[key], programs, options.pairs, options.threads, out / "work")
        runs = [{name: asdict(step) for name, step in pair.items()} for pair in pairs]
        about = {"name": known[key].name, "target": known[key].target, "threads": options.threads, "asked": asked}
        results[key] = {**about, "runs": runs}
        record.write_text(json.dumps(results, indent=1) + "\n")
    if "limits" not in results:
        words = [python, str(HERE / "limits.py"), str(inputs), str(options.threads)]
        (out / "work").mkdir(exist_ok=True)
        measure("limits", words, out / "work", options.threads, variables=_variables(programs, out / "work"))
        results["limits"] = json.loads((out / "work" / "limits.log").read_text())
        record.write_text(json.dumps(results, indent=1) + "\n")
    text = report(results)
    (out / "speed.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
