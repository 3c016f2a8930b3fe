"""A real headless Chromium, driven by Selenium, and what a test asks of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.waiting import wait_until

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars"
)

#: What every page is asked: elements that break the simplest rules of accessibility, as text.
COMPLAINTS = """
const found = [], name = (e) => (e.getAttribute("aria-label") || e.textContent || "").trim()
  || [...(e.labels || [])].map((l) => l.textContent).join("").trim();
const say = (e, what) => found.push(`${what}: ${e.outerHTML.slice(0, 90)}`);
document.querySelectorAll("img").forEach((e) => (e.getAttribute("alt") || "").trim() || say(e, "no alt"));
document.querySelectorAll("button, select, input, summary, a[href]").forEach((e) => {
  const own = e.tagName === "SELECT" || e.tagName === "INPUT" ? e.getAttribute("aria-label")
    || [...e.labels].map((l) => l.textContent).join("").trim() : name(e);
  if (!own) say(e, "no name");
});
document.querySelectorAll("canvas:not([aria-hidden])")
  .forEach((e) => e.getAttribute("aria-label") || say(e, "no name"));
document.querySelectorAll("[role=region], section, nav").forEach((e) => {
  const by = e.getAttribute("aria-labelledby");
  if (!(e.getAttribute("aria-label") || (by && document.getElementById(by)))) say(e, "no name");
});
document.querySelectorAll("table").forEach((e) => {
  if (!e.caption || !e.caption.textContent.trim()) say(e, "no caption");
  e.querySelectorAll("th").forEach((th) => th.scope || say(th, "no scope"));
});
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
ids.filter((id, i) => ids.indexOf(id) !== i).forEach((id) => found.push(`id twice: ${id}`));
let level = 0;
document.querySelectorAll("h1, h2, h3").forEach((e) => {
  const own = Number(e.tagName[1]);
  if (own > level + 1) say(e, "heading skips a level");
  level = own;
});
if (!document.documentElement.lang) found.push("no language");
return found;
"""

#: Text whose contrast to its background is below 4.5 (WCAG 2.1, 1.4.3), large text below 3.
CONTRAST = """
const parts = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const behind = (e) => {
  for (let at = e; at; at = at.parentElement) {
    const rgb = parts(getComputedStyle(at).backgroundColor);
    if (rgb.length === 3 || rgb[3] === 1) return rgb;
  }
  return [255, 255, 255];
};
const found = [];
document.querySelectorAll("body *").forEach((e) => {
  const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || e.closest("script, style, noscript")) return;
  const style = getComputedStyle(e), a = light(parts(style.color)), b = light(behind(e));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), large = parseFloat(style.fontSize) >= 24;
  if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)}: ${e.outerHTML.slice(0, 90)}`);
});
return found;
"""


def missing() -> str:
    """Why no browser can be driven here; empty where one can."""
    if not _program(*BROWSERS):
        return f"no browser on PATH (looked for {', '.join(BROWSERS)}); on Debian: apt-get install chromium"
    if not _program("chromedriver"):
        return "no chromedriver on PATH; on Debian: apt-get install chromium-driver"
    return ""


def _program(*names: str) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


class Browser:
    """A browser with a profile of its own; ``size`` sets the window, ``open`` a page."""

    def __init__(self, profile: Path, *flags: str) -> None:
        os.environ["SE_OFFLINE"] = "true"  # Selenium fetches no driver
        options = webdriver.ChromeOptions()
        options.binary_location = _program(*BROWSERS)
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}", *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(_program("chromedriver")))
        self.driver.set_page_load_timeout(60)

    def size(self, width: int, height: int = 900) -> None:
        mobile = width < 600
        values = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", values)

    def open(self, path: Path, ready: bool = True) -> None:
        """Open a page, forget what was logged before, and wait until its scripts are done."""
        self.errors()
        self.requests()
        self.driver.get(path.as_uri())
        if ready:
            wait_until(
                lambda: self.run("return document.documentElement.dataset.ready === 'true'"), "a page that is ready"
            )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def text(self, name: str) -> str:
        """Text of the element with that id."""
        return self.run("return document.getElementById(arguments[0]).textContent", name)

    def errors(self) -> list[str]:
        """Errors and warnings of the console since the last call."""
        log = self.driver.get_log("browser")
        return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Addresses that the page asked for since the last call, but for data inside it."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        own = ("chrome:", "chrome-untrusted:")  # the browser's first tab asks for its own parts
        asked = [one["request"]["url"] for one in sent if not one["documentURL"].startswith(own)]
        return [address for address in asked if not address.startswith("data:")]

    def pixels(self, name: str) -> str:
        """What a canvas shows."""
        return self.run("return document.getElementById(arguments[0]).toDataURL()", name)

    def at(self, name: str, across: float, down: float, *events: str) -> None:
        """Point at a place of an element, given as shares of its width and height, and send mouse events there."""
        self.run(
            """
            const e = document.getElementById(arguments[0]);
            e.scrollIntoView({ block: "center" });
            const box = e.getBoundingClientRect();
            const at = { clientX: box.left + arguments[1] * box.width, clientY: box.top + arguments[2] * box.height };
            for (const type of arguments[3]) {
              const kind = type.startsWith("pointer") ? PointerEvent : MouseEvent;
              e.dispatchEvent(new kind(type, { ...at, bubbles: true }));
            }
            """,
            name,
            across,
            down,
            list(events),
        )

    def close(self) -> None:
        self.driver.quit()
