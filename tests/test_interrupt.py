from __future__ import annotations

import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np

from heliodor.formats import read_picks, write_picks
from heliodor.picks import Picks


def test_an_interrupted_run_keeps_its_work_and_goes_on(dataset, tmp_path):
    folder, truth = dataset
    write_picks(tmp_path / "labels.txt", Picks.on("001", truth["001"]))
    words = [sys.executable, "-m", "heliodor", "pick", str(folder), "--labels", str(tmp_path / "labels.txt")]
    words += ["--diameter", "40", "--expected-particles", "12", "--units", "8", "--epoch-size", "25", "--threads", "1"]
    whole = subprocess.run([*words, "-o", str(tmp_path / "whole")], capture_output=True, text=True)
    assert whole.returncode == 0

    out = tmp_path / "parts"
    # A shell ignores Ctrl-C for what it starts in the background, and the tests' own processes would inherit that.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    running = subprocess.Popen([*words, "-o", str(out)], stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    while not (out / "checkpoint.pt").is_file():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, error = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in error
    assert "interrupted" in error

    again = subprocess.run([*words, "-o", str(out)], capture_output=True, text=True)
    assert again.returncode == 0
    assert "goes on after epoch" in again.stderr
    one, two = (read_picks(tmp_path / name / "picks.txt") for name in ("whole", "parts"))
    np.testing.assert_array_equal(one.xy, two.xy)
    np.testing.assert_array_equal(one.scores, two.scores)
