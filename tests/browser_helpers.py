"""A server and a real browser for tests of the labelling page."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import heliodor

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
DRIVER = shutil.which("chromedriver") or ""
WHY_NOT = "needs chromium and chromedriver (Debian: apt-get install chromium-driver)"


# Texts in sight whose contrast with what is behind them is below 4.5 (WCAG 2.1, 1.4.3); disabled ones may be paler.
LOW_CONTRAST = """
const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
context.globalCompositeOperation = 'copy';
const rgba = (colour) => {
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
};
const luminance = (colour) => [...colour.slice(0, 3)]
  .map((value) => value / 255)
  .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, k) => sum + value * [0.2126, 0.7152, 0.0722][k], 0);
const behind = (node) => {
  for (let one = node; one; one = one.parentElement) {
    const colour = rgba(getComputedStyle(one).backgroundColor);
    if (colour[3] > 128) return colour;
  }
  return [255, 255, 255];
};
const pale = [];
for (const node of document.querySelectorAll('body *')) {
  const text = [...node.childNodes].filter((one) => one.nodeType === 3).map((one) => one.data.trim()).join('');
  if (!text || !node.checkVisibility() || node.closest(':disabled')) continue;
  const style = getComputedStyle(node);
  if (style.paintOrder.startsWith('stroke') && node.closest('svg:has(image)')) continue; // outlined, over a picture
  const both = [rgba(node.ownerSVGElement ? style.fill : style.color), behind(node)].map(luminance);
  const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  if (ratio < 4.5) pale.push(`${text}: ${ratio.toFixed(2)}`);
}
return pale;
"""
CONTROLS = {"button", "checkbox", "combobox", "searchbox", "slider", "spinbutton", "textbox", "application",
            "listbox", "progressbar", "dialog", "image", "img", "Canvas"}  # fmt: skip


class Label:
    """`heliodor label` in a process of its own."""

    def __init__(self, *arguments: str, cwd: os.PathLike[str]) -> None:
        command = [sys.executable, "-m", "heliodor", "label", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(Path(heliodor.__file__).parent.parent)}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=environment
        )
        self.printed = ""
        self.url = ""
        for line in self.process.stdout:
            self.printed += line
            if line.strip().startswith("http://"):
                self.url = line.strip()
                break
        assert self.url, self.printed + self.process.stderr.read()

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=30)


def open_browser(size: tuple[int, int] = (1400, 900)):
    """Start headless Chromium; skips the test, with the reason, where there is none."""
    if not (CHROMIUM and DRIVER):
        pytest.skip(WHY_NOT)
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={size[0]},{size[1]}"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))


def prefer(driver, scheme: str) -> None:
    """Have a browser ask for 'dark' or 'light'."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})


def wait(condition, seconds: float = 120.0):
    """Return the condition's first value that is true; fail where there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.03)
    raise AssertionError(f"waited {seconds} s in vain")


class Page:
    """What a user does on the page, in positions of the micrograph."""

    def __init__(self, driver, url: str) -> None:
        from selenium.webdriver.common.by import By

        self.driver, self._by = driver, By.CSS_SELECTOR
        driver.get("about:blank")  # the page of an earlier test asks for its server
        driver.get_log("browser")
        driver.get(url)
        wait(lambda: driver.execute_script("return document.body?.dataset.ready"))
        self.settle()

    def settle(self) -> None:
        wait(lambda: self.find("#stage").get_attribute("aria-busy") == "false")

    def find(self, selector: str):
        return self.driver.find_element(self._by, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).get_attribute("textContent").strip()

    def click(self, selector: str) -> None:
        """Click once there is something to click: a button may appear only after the server has answered."""
        wait(lambda: self.find(selector).is_displayed())
        self.find(selector).click()

    def actions(self):
        from selenium.webdriver.common.action_chains import ActionChains

        return ActionChains(self.driver, duration=0)

    def offset(self, x: float, y: float) -> tuple[int, int]:
        """Where a position of the micrograph is, from the middle of the canvas, while all of it is in sight."""
        stage = self.find("#stage").size
        width, height = self.driver.execute_async_script(
            "const done = arguments[0]; import(new URL('static/main.js', document.baseURI)).then((m) => "
            "done([m.store.image.width, m.store.image.height]))"
        )
        scale = min(stage["width"] / width, stage["height"] / height)
        return round((x + 0.5 - width / 2) * scale), round((y + 0.5 - height / 2) * scale)

    def at(self, x: float, y: float):
        return self.actions().move_to_element_with_offset(self.find("#marks"), *self.offset(x, y))

    def click_at(self, x: float, y: float) -> None:
        self.at(x, y).click().perform()

    def key(self, *keys: str) -> None:
        self.actions().send_keys(*keys).perform()

    def low_contrast(self) -> list[str]:
        """Texts that are hard to read."""
        return self.driver.execute_script(LOW_CONTRAST)

    def unnamed(self) -> list[str]:
        """Roles of controls and pictures that a screen reader has no name for."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        seen = [(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]]
        assert len(seen) > 20
        return [role for role, name in seen if role in CONTROLS and not name]

    def errors(self) -> list[str]:
        """What the browser's console holds: CSP refusals, exceptions, failed requests."""
        return [entry["message"] for entry in self.driver.get_log("browser")]
