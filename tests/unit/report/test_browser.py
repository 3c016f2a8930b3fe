"""The page in a real browser: it runs, it answers, it asks for nothing, and it fits a phone."""

from __future__ import annotations

import re

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.unit.report.browser import COMPLAINTS, CONTRAST, Browser, missing
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "a browser is there")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    made = Browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.fixture
def desk(browser, page_path) -> Browser:
    """The page on a screen, freshly opened."""
    browser.size(1280)
    browser.open(page_path)
    return browser


def test_the_page_opens_from_disk_without_an_error_and_asks_for_nothing(desk, page_path):
    assert desk.errors() == []
    assert desk.requests() == [page_path.as_uri()]
    assert desk.text("stamp") == "2016-08-16 12:00 UTC"
    assert re.search(r"PSCNet 0\.\d{3} ± 0\.\d{3}", desk.text("readout"))
    assert desk.run("return document.getElementById('warning').hidden")


def test_a_broken_page_and_a_request_are_seen(browser, page, tmp_path):
    """The control of the test above."""
    broken = tmp_path / "broken.html"
    broken.write_text(page.replace('"fields":{"pscnet":"', '"fields":{"pscnet":"AAAA'), encoding="utf-8")
    browser.open(broken, ready=False)
    wait_until(lambda: browser.run("return 'error' in document.documentElement.dataset"), "an error that is said")
    assert browser.errors() and not browser.run("return document.getElementById('warning').hidden")
    asking = tmp_path / "asking.html"
    text = re.sub(r"<meta http-equiv=[^>]*>", "", page)
    asking.write_text(text.replace("<main>", '<main><img alt="" src="http://127.0.0.1:9/a.png">'), encoding="utf-8")
    browser.open(asking)
    assert "http://127.0.0.1:9/a.png" in browser.requests()
    # With the page's policy the browser blocks it, and says so.
    asking.write_text(page.replace("<main>", '<main><img alt="" src="http://127.0.0.1:9/a.png">'), encoding="utf-8")
    browser.open(asking)
    assert any("Content Security Policy" in message for message in browser.errors())


def test_the_slider_moves_both_maps(desk):
    before = desk.pixels("fine"), desk.pixels("coarse")
    desk.run("const t = document.getElementById('time'); t.value = 3; t.dispatchEvent(new Event('input'))")
    assert desk.text("stamp") == "2016-08-01 09:00 UTC"
    assert desk.pixels("fine") != before[0] and desk.pixels("coarse") != before[1]
    desk.driver.find_element(By.ID, "time").send_keys(Keys.ARROW_RIGHT)
    assert desk.text("stamp") == "2016-08-01 12:00 UTC", "the keyboard moves it too"


def test_play_goes_on_until_it_is_stopped(desk):
    button, first = desk.driver.find_element(By.ID, "play"), desk.text("stamp")
    button.click()
    wait_until(lambda: desk.text("stamp") not in (first, "2016-08-16 15:00 UTC"), "a map that moves")
    assert button.get_attribute("aria-pressed") == "true" and "Pause" in button.text
    button.click()
    stopped = desk.text("stamp")
    desk.run("const end = performance.now() + 400; while (performance.now() < end) {}")
    assert desk.text("stamp") == stopped and button.get_attribute("aria-pressed") == "false"


def test_a_click_draws_the_series_of_that_place(desk):
    chart = "return document.querySelector('#clicked > canvas').toDataURL()"
    before, title = desk.run(chart), desk.text("clicked-title")
    desk.at("fine", 0.8, 0.6, "click")
    assert desk.run(chart) != before
    assert desk.text("clicked-title") == "At the cross, 32.3° N, 92.4° E" != title
    legend = desk.run("return document.querySelector('#clicked ul').textContent")
    assert {"PSCNet, 10 km", "ERA5-Land, raw", "SMAP retrieval, 36 km"} <= set(re.split(r"(?<=km)|(?<=raw)", legend))
    desk.at("coarse", 0.005, 0.005, "click")
    assert desk.text("readout").startswith("33.5° N, 90.0° E · no value"), "the sea"


def test_a_station_is_drawn_where_one_lies_in_the_cell(desk):
    desk.at("fine", 0.8, 0.6, "click")
    assert "station" not in desk.text("readout")
    desk.run("const s = document.getElementById('station'); s.value = '1'; s.dispatchEvent(new Event('change'))")
    assert "station TWINMAQU, ST02" in desk.text("readout")
    assert "station TWINMAQU, ST02" in desk.run("return document.querySelector('#clicked ul').textContent")
    assert "ST02" in desk.run("return document.querySelector('#clicked > canvas').getAttribute('aria-label')")


SHOWN = "return [...document.querySelectorAll('.cursor.value')].filter((e) => !e.hidden).map((e) => e.textContent)"


@pytest.mark.parametrize("here", ["fine", "coarse"])
def test_pointing_at_one_map_shows_place_and_value_on_both(desk, here):
    assert desk.run(SHOWN) == []
    desk.at(here, 0.5, 0.5, "pointermove")
    values = desk.run(SHOWN)
    assert len(values) == 2 and all(re.match(r"0\.\d{3}|no value", value) for value in values)
    lines = desk.run("return [...document.querySelectorAll('.cursor.down')].map((e) => [e.hidden, e.style.left])")
    assert lines[0] == lines[1] == [False, lines[0][1]]
    across = desk.run(
        "const e = document.querySelector('.cursor.down').getBoundingClientRect();"
        "const c = document.getElementById('coarse').getBoundingClientRect(); return (e.left - c.left) / c.width"
    )
    assert across == pytest.approx(0.5, abs=0.03)
    desk.at(here, 0.1, 0.9, "pointermove")
    assert desk.run(SHOWN) != values
    desk.at(here, 0.5, 0.5, "pointerleave")
    assert desk.run(SHOWN) == []


def test_the_keyboard_moves_the_cross_and_shows_the_values(desk):
    before = desk.text("clicked-title")
    desk.driver.find_element(By.ID, "coarse").send_keys(Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert desk.text("clicked-title") != before and len(desk.run(SHOWN)) == 2


COLUMN = """
const table = [...document.querySelectorAll("table")].find((t) => t.caption.textContent.trim() === arguments[0]);
return [...table.tBodies[0].rows].map((row) => row.cells[arguments[1]].textContent.trim());
"""


def _heading(browser, caption, column):
    return browser.run(
        "const named = (t) => t.caption.textContent.trim() === arguments[0];"
        "const table = [...document.querySelectorAll('table')].find(named);"
        "return table.tHead.rows[0].cells[arguments[1]].querySelector('button')",
        caption,
        column,
    )


def test_a_click_on_a_heading_sorts_numbers_as_numbers_and_gaps_last(desk):
    caption = "Time and memory by rule"
    button, state = _heading(desk, caption, 2), "return arguments[0].parentElement.getAttribute('aria-sort')"
    assert desk.run(state, button) == "none"
    button.click()
    assert desk.run(COLUMN, caption, 2) == ["0.2", "30.5"] and desk.run(state, button) == "ascending"
    button.click()
    assert desk.run(COLUMN, caption, 2) == ["30.5", "0.2"] and desk.run(state, button) == "descending"
    memory = _heading(desk, caption, 5)
    for _ in range(2):
        memory.send_keys(Keys.ENTER)
        assert desk.run(COLUMN, caption, 5) == ["600", "–"], "an undefined number is last either way"
    assert desk.run(state, button) == "none"


def test_counts_and_names_are_sorted_too(desk):
    desk.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    _heading(desk, "Sensors", 3).click()
    assert desk.run(COLUMN, "Sensors", 3) == [str(number) for number in range(30)], "2 comes before 10"
    _heading(desk, "Networks", 0).click()
    assert desk.run(COLUMN, "Networks", 0) == ["ERA5-Land, raw", "PSCNet (product)", "PSCNet (product)"]


def test_layers_change_the_map_and_its_scale(desk):
    before = desk.pixels("fine")
    desk.run("const l = document.getElementById('layer'); l.value = 'sigma'; l.dispatchEvent(new Event('change'))")
    assert desk.pixels("fine") != before and desk.text("unit").startswith("right: uncertainty")


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_the_page_fits_its_screen(browser, page_path, width):
    browser.size(width)
    browser.open(page_path)
    browser.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert browser.run("return document.documentElement.scrollWidth") <= width
    wide = browser.run(
        "return [...document.querySelectorAll('main *')].filter((e) => !e.closest('.scroll, .hidden, noscript')"
        " && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert wide == []
    assert browser.run("return document.querySelectorAll('.scroll').length") > 5
    touch = browser.run(
        "return Math.min(...['play', 'back', 'forward'].map((id) => document.getElementById(id).offsetHeight))"
    )
    assert touch >= (40 if width < 600 else 30)


def test_a_table_that_is_too_wide_is_seen(browser, page, tmp_path):
    """The control: the page of the test above with a line that does not break."""
    wide = tmp_path / "wide.html"
    wide.write_text(page.replace("<main>", f"<main><p>{'x' * 400}</p>"), encoding="utf-8")
    browser.size(390)
    browser.open(wide)
    assert browser.run("return document.documentElement.scrollWidth") > 390


def test_everything_has_a_name_and_can_be_read(desk):
    desk.run("document.querySelectorAll('details').forEach((e) => { e.open = true; })")
    assert desk.run(COMPLAINTS) == []
    assert desk.run(CONTRAST) == []


def test_what_has_no_name_or_cannot_be_read_is_found(browser, page, tmp_path):
    """The control of the test above."""
    bad = tmp_path / "bad.html"
    planted = '<main><img src="data:,"><button></button><input type="range"><table><tr><th>a</th></tr></table>'
    planted += '<h1>a</h1><h3>b</h3><p style="color: #aaa">pale</p><p id="maps-title">twice</p>'
    bad.write_text(page.replace("<main>", planted), encoding="utf-8")
    browser.size(1280)
    browser.open(bad)
    found = browser.run(COMPLAINTS)
    assert [what.split(":")[0] for what in found] == [
        "no alt", "no name", "no name", "no caption", "no scope", "id twice", "heading skips a level",
    ]  # fmt: skip
    assert len(browser.run(CONTRAST)) == 1


def test_all_controls_are_reached_with_the_keyboard(desk):
    reached = desk.run(
        "return [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex=\"0\"]')]"
        ".filter((e) => e.tabIndex >= 0).map((e) => e.id)"
    )
    assert {"play", "back", "forward", "time", "coarse", "fine", "layer", "station"} <= set(reached)


#: The page itself looks at its clock when "play" is clicked, before it does anything, and when the time first changes.
MOVING = """
const stamp = document.getElementById("stamp"), first = stamp.textContent;
document.getElementById("play")
  .addEventListener("click", () => { window.clicked = performance.now(); }, { capture: true, once: true });
new MutationObserver(() => { if (stamp.textContent !== first) window.moved ??= performance.now(); })
  .observe(stamp, { childList: true, characterData: true, subtree: true });
"""


def test_less_motion_is_respected(page_path, tmp_path):
    calm = Browser(tmp_path / "profile", "--force-prefers-reduced-motion")
    try:
        calm.size(1280)
        calm.open(page_path)
        assert calm.run("return matchMedia('(prefers-reduced-motion: reduce)').matches")
        calm.run(MOVING)
        calm.driver.find_element(By.ID, "play").click()
        wait_until(lambda: calm.run("return window.moved !== undefined"), "a map that moves")
        assert calm.run("return window.moved - window.clicked") >= 900, "nothing moves faster than once a second"
    finally:
        calm.close()
