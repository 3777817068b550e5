"""A real browser does what a user does, and the files on disk are read."""

import contextlib
import json
import shutil
import time

import numpy as np
import pytest

from browser_helpers import Label, Page, open_browser, prefer, wait
from heliodor import Picks, read_picks, write_picks
from heliodor.picking.answers import read_answers
from labeling_helpers import half_right

PIXEL = 0.5  # a browser clicks on whole pixels of the screen, of which an image pixel has three or so


@pytest.fixture(scope="module")
def driver():
    driver = open_browser()
    yield driver
    driver.quit()


@pytest.fixture
def folder(dataset, tmp_path):
    """A folder with the four simulated micrographs, of 260 x 240 pixels, particles 20 pixels wide."""
    shutil.copytree(dataset[0], tmp_path / "micrographs")
    return tmp_path


@pytest.fixture
def serve(folder):
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            label = Label("micrographs", "--diameter", "40", "--port", "0", *arguments, cwd=folder)
            stack.callback(label.close)
            return label

        yield start


def table(path, name="001"):
    return read_picks(path).of(name).xy if path.is_file() else np.empty((0, 2))


def count(path, number, name="001"):
    wait(lambda: len(table(path, name)) == number)
    return table(path, name)


def test_label_move_delete_undo_reload(driver, serve, folder):
    labels = folder / "labels.txt"
    page = Page(driver, serve().url)
    assert page.text("#name") == "001"
    page.click_at(60, 50)
    page.click_at(200.0, 180.0)
    xy = count(labels, 2)
    assert np.allclose(xy, [[60, 50], [200, 180]], atol=PIXEL)

    page.at(200, 180).click_and_hold().perform()
    page.at(150, 120).release().perform()
    wait(lambda: np.allclose(table(labels)[1], [150, 120], atol=0.6))

    page.click_at(60, 50)
    count(labels, 1)
    page.key("z")
    assert np.allclose(count(labels, 2)[1], [60, 50], atol=PIXEL)
    page.key("z")  # the move
    wait(lambda: np.allclose(sorted(table(labels)[:, 0]), [60, 200], atol=PIXEL))
    page.key("Z")
    wait(lambda: np.allclose(sorted(table(labels)[:, 0]), [60, 150], atol=0.6))

    driver.refresh()
    page = Page(driver, driver.current_url)
    assert page.text("#particles-here") == "2"
    assert page.errors() == []


def test_negatives_and_brush(driver, serve, folder):
    page = Page(driver, serve().url)
    page.click_at(50, 50)
    page.at(120, 120).context_click().perform()
    page.click('[data-tool="negative"]')
    page.click_at(200, 60)
    negatives = folder / "labels-negatives.txt"
    assert np.allclose(count(negatives, 2), [[120, 120], [200, 60]], atol=PIXEL)
    page.click_at(50, 50)  # a particle becomes a negative
    count(negatives, 3)
    count(folder / "labels.txt", 0)
    page.key("3")
    page.at(110, 120).click_and_hold().perform()
    page.at(130, 122).perform()
    page.at(199, 61).release().perform()
    assert np.allclose(count(negatives, 1), [[50, 50]], atol=PIXEL)
    page.key("z")
    count(negatives, 3)
    assert page.errors() == []


def test_next_done_and_list(driver, serve, folder):
    page = Page(driver, serve("--labels", "named.star").url)
    page.click_at(50, 50)
    page.key("d", "n")
    wait(lambda: page.text("#name") == "a.b.c")
    page.settle()
    page.click_at(70, 70)
    assert len(count(folder / "named.star", 1, "micrographs/a.b.c.mrc")) == 1
    wait(lambda: (folder / "named-done.txt").is_file())
    assert (folder / "named-done.txt").read_text() == "micrographs/001.mrc\n"
    assert wait(lambda: "done" in page.text("#row-0"))
    page.find("#search").send_keys("space")
    wait(lambda: page.text("#totals").startswith("1 listed"))
    page.click("#row-3")
    wait(lambda: page.text("#name") == "with space")
    assert page.errors() == []


def test_next_pressed_faster_than_micrographs_come(driver, serve):
    page = Page(driver, serve().url)
    page.key("n", "n", "n", "p")
    wait(lambda: page.text("#name") == "plain")
    page.settle()
    assert page.text("#name") == "plain"
    assert page.errors() == []


def test_pixels_that_cannot_be_read_are_told(driver, serve, folder):
    whole = (folder / "micrographs/001.mrc").read_bytes()
    (folder / "micrographs/001.mrc").write_bytes(whole[: len(whole) // 2])
    page = Page(driver, serve().url)  # its header says how large it is
    wait(lambda: "truncated" in page.text("#problem") and page.find("#problem").is_displayed())
    wait(lambda: "unreadable" in page.text("#row-0"))
    page.key("n")
    wait(lambda: page.text("#name") == "a.b.c")
    page.settle()
    assert not page.find("#problem").is_displayed()


def test_what_cannot_be_written_is_told_and_written_later(driver, serve, folder, picked):
    page = Page(driver, serve("--picks", "picks.txt").url)
    wait(lambda: page.find("#audit-section").is_displayed())
    (folder / "labels-session.json").unlink()
    for name in ("labels-session.json", "labels-audit.tsv"):
        (folder / name / "in the way").mkdir(parents=True)
    (folder / "labels-runs").write_text("")
    page.key("]")
    wait(lambda: "cannot write" in page.text("#trouble") and page.find("#trouble").is_displayed())
    assert page.text("#saved") == "not saved"
    width = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width[0] == width[1]  # the message is long, and the page stays as wide as it is
    page.click("#audit-open")
    wait(lambda: "cannot write" in page.text("#audit-summary"))
    assert not page.find("#audit").is_displayed()
    page.click("#train")
    wait(lambda: "cannot write" in page.text("#train-note"))
    shutil.rmtree(folder / "labels-session.json")
    wait(lambda: page.text("#saved") == "saved")
    assert "cannot write" in page.text("#train-note")
    assert json.loads((folder / "labels-session.json").read_text())["threshold"] is not None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_and_has_a_name(driver, serve, picked, scheme):
    page = Page(driver, serve("--picks", "picks.txt").url)
    prefer(driver, scheme)
    wait(lambda: page.text("#picks-here") != "0" and page.find("#next-pick").is_enabled())
    assert page.low_contrast() == []
    assert page.unnamed() == []
    page.key("g")
    wait(lambda: page.find("#ask").is_displayed())
    assert page.low_contrast() == []
    for dialog in ("#help", "#audit"):
        page.click(f"{dialog}-open")
        wait(lambda dialog=dialog: page.find(dialog).is_displayed())
        assert page.low_contrast() == []
        assert page.unnamed() == []
        page.key("\ue00c")  # Escape
    assert page.errors() == []


def test_a_small_window_holds_everything(driver, serve, picked):
    size = driver.get_window_size()
    driver.set_window_size(1024, 700)
    try:
        page = Page(driver, serve("--picks", "picks.txt").url)
        wait(lambda: page.text("#picks-here") != "0")
        pixels = driver.execute_script("const e = document.documentElement; return [e.scrollWidth, e.scrollHeight]")
        assert pixels == driver.execute_script("return [innerWidth, innerHeight]")
        for selector in ("#done", "[data-tool=erase]", "#help-open", "#zoom-in", "#totals"):
            box = page.find(selector).rect
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= pixels[0]
            assert box["y"] + box["height"] <= pixels[1]
    finally:
        driver.set_window_size(size["width"], size["height"])


def test_keyboard_alone(driver, serve, folder):
    page = Page(driver, serve().url)
    driver.execute_script("document.getElementById('marks').focus()")
    page.key("\ue014", "\ue014", "\ue015")  # right, right, down
    page.key("\ue007")  # Enter
    xy = count(folder / "labels.txt", 1)
    assert np.all(np.abs(xy - [129.5, 119.5]) < 15)
    page.key("\ue017")  # Delete
    count(folder / "labels.txt", 0)
    page.key("?")
    wait(lambda: page.find("#help").is_displayed())
    assert page.errors() == []


def test_zoom_shows_the_pixel_under_the_pointer(driver, serve, folder):
    page = Page(driver, serve().url)
    page.at(200, 60).perform()
    before = page.text("#position")
    marks = page.find("#marks")
    driver.execute_script(
        "const [x, y] = arguments[1]; const box = arguments[0].getBoundingClientRect();"
        "arguments[0].dispatchEvent(new WheelEvent('wheel', {deltaY: -600, bubbles: true, cancelable: true,"
        "clientX: box.left + box.width / 2 + x, clientY: box.top + box.height / 2 + y}))",
        marks,
        page.offset(200, 60),
    )
    page.settle()
    page.at(200, 61).perform()
    page.at(200, 60).perform()
    assert page.text("#position") == before
    assert before.startswith("200, 60 px   400, 120 Å")
    page.at(200, 60).click().perform()
    assert np.allclose(count(folder / "labels.txt", 1), [[200, 60]], atol=PIXEL)


@pytest.fixture
def new_tab(driver):
    """Opens tabs, and closes them when the test ends."""
    first = driver.current_window_handle

    def new_tab():
        driver.switch_to.new_window("tab")
        return driver.current_window_handle

    yield new_tab
    for handle in set(driver.window_handles) - {first}:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(first)
    driver.get_log("browser")


def test_two_tabs_and_a_killed_server(driver, serve, folder, new_tab):
    label = serve()
    first = new_tab()
    page = Page(driver, label.url)
    page.click_at(60, 60)
    new_tab()
    Page(driver, label.url).click_at(150, 150)
    driver.switch_to.window(first)
    page.click_at(60, 200)
    xy = count(folder / "labels.txt", 3)
    assert np.allclose(xy, [[60, 60], [150, 150], [60, 200]], atol=PIXEL)
    wait(lambda: page.text("#particles-here") == "3")
    label.kill()
    assert len(table(folder / "labels.txt")) == 3
    page.click_at(200, 200)
    wait(lambda: page.find("#saved").get_attribute("className") == "bad")
    new_tab()
    assert Page(driver, serve().url).text("#particles-here") == "3"


HOLD = """
window.held = [];
const plain = window.fetch;
window.fetch = async (path, options) => {
  if (!path.startsWith('api/edit') || !window.held) return plain(path, options);
  if (arguments[0] === 'request') await new Promise((resolve) => held.push(resolve));
  const response = await plain(path, options);
  if (arguments[0] === 'answer') await new Promise((resolve) => held.push(resolve));
  return response;
};
"""
RELEASE = "const all = held; held = null; for (const one of all) one();"


def test_a_label_that_another_tab_deletes_before_its_answer_is_here(driver, serve, folder):
    label = serve()
    page = Page(driver, label.url)
    driver.execute_script(HOLD.replace("arguments[0]", "'answer'"))
    page.click_at(60, 60)
    count(folder / "labels.txt", 1)
    elsewhere(driver, "{do: 'delete', id: known.labels[0][0]}")
    count(folder / "labels.txt", 0)
    time.sleep(1.5)  # the page has asked for changes meanwhile
    driver.execute_script(RELEASE)
    wait(lambda: page.text("#saved") == "saved")
    assert page.text("#particles-here") == "0"


def elsewhere(driver, edit: str) -> None:
    """Edit the first micrograph as another tab would; `known` is what the server has."""
    driver.execute_script(f"""
        const known = await (await fetch('api/micrograph/0')).json();
        const request = new XMLHttpRequest();
        request.open('POST', 'api/edit/0', false);
        request.setRequestHeader('Content-Type', 'application/json');
        request.send(JSON.stringify({{base: -1, edits: [{edit}]}}));
    """)


def test_done_stays_while_it_is_on_its_way(driver, serve, folder):
    page = Page(driver, serve().url)
    driver.execute_script(HOLD.replace("arguments[0]", "'request'"))
    page.key("d", "n")
    wait(lambda: page.text("#name") == "a.b.c")
    page.key("p")
    wait(lambda: page.text("#name") == "001")
    assert page.find("#done").is_selected()
    driver.execute_script(RELEASE)
    wait(lambda: (folder / "labels-done.txt").is_file() and page.text("#saved") == "saved")
    assert page.find("#done").is_selected()


def test_a_drag_ends_with_its_micrograph(driver, serve, folder):
    page = Page(driver, serve().url)
    page.click_at(60, 60)
    count(folder / "labels.txt", 1)
    page.key("3")
    page.at(62, 60).click_and_hold().perform()
    page.key("n")
    wait(lambda: page.text("#name") == "a.b.c")
    page.at(90, 90).release().perform()
    page.key("z")  # the label, not what was erased of another micrograph
    count(folder / "labels.txt", 0)
    assert page.errors() == []


def test_a_connection_that_comes_back(driver, serve):
    page = Page(driver, serve().url)
    conditions = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**conditions, "offline": True})
    page.key("n")
    wait(lambda: page.text("#problem") == "No connection to heliodor label")
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**conditions, "offline": False})
    wait(lambda: not page.find("#problem").is_displayed() and page.text("#name") == "a.b.c")
    wait(lambda: not page.find("#trouble").is_displayed())


def test_an_address_with_another_ending(driver, serve):
    url = serve().url
    assert Page(driver, f"{url}#with%20space").text("#name") == "with space"
    assert Page(driver, f"{url}#%").text("#name") == "001"


def test_picks_off_the_micrograph_do_not_keep_others_from_being_accepted(driver, serve, folder):
    write_picks(folder / "picks.txt", Picks.on("001", [[-9, 50], [100, 100], [150, 200]], [1, 2, 3]))
    page = Page(driver, serve("--picks", "picks.txt").url)
    page.click("#accept-all")
    count(folder / "labels.txt", 2)
    assert page.errors() == []


def test_picks_by_threshold_accept_and_reject(driver, serve, folder, dataset):
    truth = dataset[1]["001"]
    scores = np.linspace(3, -3, len(truth))
    write_picks(folder / "picks.txt", Picks.on("001", truth, scores))
    page = Page(driver, serve("--picks", "picks.txt").url)
    wait(lambda: page.text("#picks-here") == str(len(truth)))
    page.key("j", "a")  # accept the best
    assert np.allclose(count(folder / "labels.txt", 1), truth[:1], atol=0.01)
    page.key("x")  # reject the next
    assert np.allclose(count(folder / "labels-negatives.txt", 1), truth[1:2], atol=0.01)
    wait(lambda: page.text("#picks-here") == str(len(truth) - 2))
    driver.execute_script(
        "const s = document.getElementById('threshold'); s.value = 100;"
        "s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change'))"
    )
    kept = int((scores >= 0).sum())
    wait(lambda: page.text("#picks-here") == str(kept - 2))
    assert f"{kept} in all" in page.text("#picks-all")
    page.click("#accept-all")
    assert len(count(folder / "labels.txt", kept - 1)) == kept - 1
    page.key("z")
    count(folder / "labels.txt", 1)
    assert page.errors() == []


def test_no_requests_leave_the_server(driver, serve):
    label = serve()
    page = Page(driver, label.url)
    names = driver.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert names
    assert all(name.startswith(label.url) for name in names)
    assert page.errors() == []


SHORT = "--epochs 1 --epoch-size 4 --expected-particles 12 --units 4"


def test_train_from_the_page(driver, serve, folder, dataset):
    write_picks(folder / "labels.txt", Picks.join(Picks.on(name, dataset[1][name]) for name in ("001", "plain")))
    page = Page(driver, serve("--pick-options", SHORT).url)
    page.click("#train")
    wait(lambda: page.find("#running").is_displayed())
    wait(lambda: page.text("#train-note").startswith("Trained"), 300)
    wait(lambda: not page.find("#no-picks").is_displayed())
    assert (folder / "labels-runs/001/candidates.star").is_file()
    assert read_picks(folder / "labels-runs/001/picks.txt").micrographs()
    record = json.loads((folder / "labels-session.json").read_text())
    assert record["run"] == str(folder / "labels-runs/001")
    page.click("#export")
    wait(lambda: "labels-picks.star" in page.text("#exported"))
    assert len(read_picks(folder / "labels-picks.star"))
    assert page.errors() == []


def test_cancel_training_and_errors_of_it(driver, serve, folder, dataset):
    write_picks(folder / "labels.txt", Picks.on("001", dataset[1]["001"]))
    page = Page(driver, serve("--pick-options", "--model resnet16").url)
    page.click("#train")
    page.click("#cancel")
    wait(lambda: page.text("#train-note") == "Cancelled.", 60)
    assert not (folder / "labels-runs/001/picks.star").exists()
    driver.execute_script(
        "fetch('api/choices', {method: 'POST', headers: {'Content-Type': 'application/json'},"
        "body: JSON.stringify({diameter: 90000})})"
    )
    page.click("#train")
    wait(lambda: "factor" in page.text("#train-note") or "diameter" in page.text("#train-note"), 90)
    assert page.errors() == []


@pytest.fixture
def picked(folder, dataset):
    write_picks(folder / "picks.txt", half_right(dataset[1]))


def test_proposed_picks(driver, serve, folder, picked):
    page = Page(driver, serve("--picks", "picks.txt").url)
    wait(lambda: page.find("#next-section").is_displayed() and page.find("#next-pick").is_enabled())
    page.key("g")
    wait(lambda: page.find("#ask").is_displayed())
    assert page.text("#ask-place") == "1 of 20"
    assert "particle" in page.text("#ask-reason")
    page.key("a")
    wait(lambda: page.text("#ask-place") == "2 of 20")
    page.key("x")
    wait(lambda: page.text("#ask-place") == "3 of 20")
    for path in ("labels.txt", "labels-negatives.txt"):
        wait(lambda path=path: len(read_picks(folder / path)) == 1)
    page.key("\ue00c")  # Escape
    wait(lambda: not page.find("#ask").is_displayed())
    assert page.errors() == []


def test_audit_by_keyboard(driver, serve, folder, picked, dataset):
    page = Page(driver, serve("--picks", "picks.txt").url)
    wait(lambda: page.find("#audit-section").is_displayed())
    page.click("#audit-open")
    wait(lambda: page.text("#audit-count") == "0 of 24 answered")
    answers = folder / "labels-audit.tsv"
    asked = read_answers(answers).picks
    right = [np.hypot(*(dataset[1][name] - xy).T).min() < 0.01 for name, xy in zip(asked.names, asked.xy, strict=True)]
    held = "new KeyboardEvent('keydown', {key: 'y', repeat: true, bubbles: true})"
    driver.execute_script(f"document.body.dispatchEvent({held})")
    page.key("n", "u")  # an answer that is taken back, and given anew
    page.key(*("y" if one else "n" for one in right))
    wait(lambda: page.text("#audit-count") == "24 of 24 answered")
    page.key("u", "y" if right[-1] else "n")  # the last one again, by keyboard still
    wait(lambda: page.find("#audit-over").is_displayed())
    assert page.text("#audit-open") == "See the check"
    wait(lambda: len(read_answers(answers).open) == 0)
    assert read_answers(answers).given.tolist() == [int(one) for one in right]
    wait(lambda: "of the picks are right" in page.text("#audit-now"))
    wait(lambda: page.find("#audit-choices button").is_displayed())
    page.click("#audit-choices button")
    chosen = wait(lambda: json.loads((folder / "labels-session.json").read_text()).get("threshold"))
    assert -2 < chosen < 2
    page.click("#audit-label")
    wait(lambda: "labels were added" in page.text("#audit-said"))
    kinds = [read_picks(folder / name) for name in ("labels.txt", "labels-negatives.txt")]
    assert len(kinds[0]) >= 12
    assert len(kinds[1]) >= 6
    assert page.errors() == []
