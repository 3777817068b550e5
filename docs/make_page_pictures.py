"""Draw docs/labeling.png and docs/labeling-audit.png: the labelling page on the results of scripts/demo.

python docs/make_page_pictures.py

Needs chromium and chromedriver. The questions of the audit that are about the four micrographs that a person labelled
whole are answered by these labels.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver

from heliodor import read_picks
from heliodor.picking.answers import read_answers

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples/apoferritin"
MATCH_RADIUS = 14.0  # pixels
GREYS, COLOURS = 48, 120  # in a picture
RED, PANEL = (255, 107, 129), (30, 33, 38)  # of page.css: too rare, or too grey, to be found


def serve(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the page; return the process and the address."""
    shutil.copy(EXAMPLE / "labels.txt", folder)
    words = ["label", EXAMPLE, "--labels", "labels.txt", "--diameter", "120", "--picks", ROOT / "demo-output"]
    command = [sys.executable, "-m", "heliodor", *map(str, words), "--port", "0"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, next(line.strip() for line in process.stdout if line.strip().startswith("http://"))


def browser() -> webdriver.Chrome:
    """Start chromium without a window."""
    options = webdriver.ChromeOptions()
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,887"):
        options.add_argument(word)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    return driver


def wait(driver: webdriver.Chrome, condition: str) -> None:
    """Wait until a condition in JavaScript holds."""
    end = time.monotonic() + 120
    while not driver.execute_script(f"return {condition}"):
        if time.monotonic() > end:
            raise TimeoutError(condition)
        time.sleep(0.1)
    time.sleep(1)


def keep(driver: webdriver.Chrome, name: str, selector: str = "body") -> None:
    """Write what the browser shows of an element, in few greys and few colours."""
    picture = driver.find_element("css selector", selector).screenshot_as_png
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    pixels = np.asarray(image).reshape(-1, 3)
    coloured = pixels[np.ptp(pixels.astype(int), axis=1) > 40]  # few among the greys, which would have all the palette
    colours = Image.fromarray(coloured[None]).quantize(COLOURS).getpalette()
    greys = np.repeat(np.linspace(0, 255, GREYS).round().astype(int), 3).tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*greys, *RED, *PANEL, *(colours or [])[: 3 * COLOURS]])
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(ROOT / "docs" / name, optimize=True)


def answer_questions(driver: webdriver.Chrome, path: Path) -> None:
    """Answer as the person who labelled these micrographs."""
    human = read_picks(EXAMPLE / "human.txt")
    asked = read_answers(path).picks
    for row, (name, xy) in enumerate(zip(asked.names, asked.xy, strict=True)):
        near = np.hypot(*(human.of(name).xy - xy).T)
        if len(near):
            words = {"row": row, "answer": "yes" if (near < MATCH_RADIUS).any() else "no"}
            driver.execute_async_script(
                "const [words, done] = arguments; fetch('api/audit/answer', {method: 'POST',"
                "headers: {'Content-Type': 'application/json'}, body: JSON.stringify(words)}).then(done)",
                words,
            )


def main() -> None:
    """Take both pictures."""
    with tempfile.TemporaryDirectory() as name:
        process, address = serve(Path(name))
        driver = browser()
        driver.get(address)
        wait(driver, "document.getElementById('picks-here').textContent > 0")
        wait(driver, "document.querySelectorAll('.thumb[src]').length == 8")
        keep(driver, "labeling.png")
        driver.execute_script("document.getElementById('audit-open').click()")
        wait(driver, "document.getElementById('audit').open")
        answer_questions(driver, Path(name) / "labels-audit.tsv")
        driver.refresh()
        wait(driver, "document.getElementById('audit-open').textContent == 'Continue the check'")
        driver.execute_script("document.getElementById('audit-open').click()")
        wait(driver, "document.getElementById('audit').open && document.getElementById('audit-window').complete")
        keep(driver, "labeling-audit.png", "#audit")
        driver.quit()
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
