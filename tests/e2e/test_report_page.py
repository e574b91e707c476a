"""The report in a real browser: phone and desktop, light and dark, printed, without scripts, and with a thousand hosts.

GPUCTL_PICTURES=DIR keeps the pictures, to be looked at.
"""

from __future__ import annotations

import os

import pytest

from gpuctl.fleet.report.model import Snapshot
from gpuctl.fleet.report.page import render
from gpuctl.fleet.report.reading import host_state
from tests.e2e.browser import Browser, chromium
from tests.unit.report.fleet import fleet

pytestmark = pytest.mark.skipif(chromium() is None, reason="no Chromium on this machine (Debian: chromium)")
HOSTILE = '<img src=x onerror="document.title=1">"\'&</script><script>document.title=1</script>'

# The WCAG contrast of every text with its background, and what it is below 4.5 for (3 for large text).
CONTRAST = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => numbers(colour).slice(0, 3).map((one) => one / 255)
    .map((one) => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4)
    .reduce((sum, one, at) => sum + one * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (item) => { for (; item; item = item.parentElement) { const found = getComputedStyle(item).backgroundColor;
    if ((numbers(found)[3] ?? 1) > 0.99) return found; } return "rgb(255, 255, 255)"; };
  const poor = new Set();
  for (const item of document.body.querySelectorAll("*")) {
    const own = [...item.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || ["SCRIPT", "STYLE"].includes(item.tagName) || !item.getClientRects().length) continue;
    const style = getComputedStyle(item), pair = [light(style.color), light(behind(item))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) poor.add(`${item.tagName}.${item.className} ${ratio.toFixed(2)}`);
  }
  return [...poor];
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    found = Browser(str(tmp_path_factory.mktemp("chromium")))
    yield found
    found.close()


def snapshot(count: int, *, first: int = 13) -> Snapshot:
    hosts = {}
    for number, (name, documents) in enumerate(fleet(count).items()):
        down = number % 50 == first
        error = {"brief": "no route to host", "code": "unreachable", "resolution": "see that it runs"} if down else None
        groups = ("all", "gpu_hosts", f"rack{number // 40 + 1:02d}")
        hosts[name] = host_state(name, [] if down else documents, groups=groups, error=error)
    return Snapshot(hosts, run="20261121T100000Z-ab12", at="2026-11-21T10:00:00Z")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(snapshot(60), snapshot(60, first=16), made="Made by a test."), "utf-8")
    return path.as_uri()


def keep(browser: Browser, name: str) -> None:
    if os.environ.get("GPUCTL_PICTURES"):
        browser.picture(f"{os.environ['GPUCTL_PICTURES']}/{name}.png")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 768, 1280])
def test_it_fits_can_be_read_and_asks_nobody(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    browser.ask("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(CONTRAST) == []
    assert browser.complaints() == []
    assert browser.requests() == [page]
    keep(browser, f"{'dark' if dark else 'light'}-{width}")


def test_dark_is_dark(browser, page):
    colours = []
    for dark in (False, True):
        browser.open(page, width=800, dark=dark)
        colours.append(browser.ask("getComputedStyle(document.documentElement).backgroundColor"))
    assert colours[0] != colours[1]


def test_the_filter_shows_the_hosts_that_fit_and_their_findings(browser, page):
    browser.open(page, width=1280, dark=False)
    shown = "document.querySelectorAll('.tiles li:not([hidden])').length"
    assert browser.ask(shown) == 60
    browser.ask("(() => { const box = document.getElementById('filter'); box.value = 'rack02 iommu-enabled';"
                " box.dispatchEvent(new Event('input')); })()")  # fmt: skip
    names = browser.ask(
        "[...document.querySelectorAll('.tiles li:not([hidden])')].map((one) => one.textContent).join()"
    )
    assert "gpu51.dc1" in names
    assert browser.ask(shown) == 1
    assert browser.ask("document.getElementById('said').textContent") == "1 of 60 hosts"
    assert browser.ask(
        "[...document.querySelectorAll('#findings details:not([hidden]) .id')].map((one) => one.textContent)"
    ) == ["iommu-enabled"]
    assert browser.ask("document.querySelectorAll('.rack:not([hidden])').length") == 1


def test_a_state_button_filters_and_says_that_it_is_pressed(browser, page):
    browser.open(page, width=375, dark=True)
    browser.ask("document.querySelector('.states .failed').click()")
    assert browser.ask("document.querySelector('.states .failed').getAttribute('aria-pressed')") == "true"
    assert browser.ask(
        "[...document.querySelectorAll('.tiles li:not([hidden]) button')].every((one) => one.className === 'failed')"
    )
    assert browser.ask("document.querySelectorAll('.tiles li:not([hidden])').length") == 1


@pytest.mark.parametrize("width", [375, 1280])
def test_a_host_opens_with_its_cards_and_findings_and_closes_by_keyboard(browser, page, width):
    browser.open(page, width=width, dark=width == 375)
    browser.ask(
        "[...document.querySelectorAll('.tiles button')].find((one) => one.textContent.includes('gpu31.dc1')).click()"
    )
    text = browser.ask("document.getElementById('host').innerText")
    assert "gpu31.dc1" in text
    assert "0000:48:00.0" in text
    assert "group-isolated" in text
    assert "do: see the mainboard's manual" in text
    assert browser.ask(
        "(() => { const box = document.getElementById('host'); return box.scrollWidth <= box.clientWidth; })()"
    )
    assert browser.ask(CONTRAST) == []
    keep(browser, f"host-{width}")
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape", windowsVirtualKeyCode=27)
    assert browser.ask("document.getElementById('host').open") is False


def test_it_says_all_without_scripts_and_prints(browser, page):
    browser.open(page, width=1280, dark=False, script=False)
    assert browser.pdf().startswith(b"%PDF-")
    keep(browser, "no-script")
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.ask("document.querySelectorAll('.tiles li').length") == 60
    assert browser.ask("getComputedStyle(document.querySelector('.find')).display") == "none"


def test_headings_and_names_are_as_a_screen_reader_wants_them(browser, page):
    browser.open(page, width=1280, dark=False)
    levels = browser.ask(
        "[...document.querySelectorAll('h1,h2,h3')].filter((one) => one.getClientRects().length).map((one) => +one.tagName[1])"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:]))
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    names = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree if not node["ignored"]]
    assert [
        role for role, name in names if role in ("button", "searchbox", "image", "region", "dialog") and not name
    ] == []
    assert any(role == "button" and "not ready" in name and "gpu17.dc1" in name for role, name in names)


def test_hostile_words_stay_words(browser, tmp_path):
    (document,) = [one for one in fleet(17)["gpu17.dc1"] if one["schema"].endswith("check/1")]
    for finding in document["findings"]:
        finding.update(title=HOSTILE, evidence=HOSTILE, fix=HOSTILE, id=HOSTILE)
    document["gpus"][0].update(name=HOSTILE, address=HOSTILE)
    state = host_state(
        HOSTILE,
        [document],
        groups=(HOSTILE,),
        error={"brief": HOSTILE, "details": HOSTILE, "resolution": HOSTILE, "code": HOSTILE},
    )
    path = tmp_path / "evil.html"
    path.write_text(
        render(
            Snapshot({HOSTILE: state}, run=HOSTILE, at=HOSTILE),
            Snapshot({"x" + HOSTILE: state}),
            title="quiet " + HOSTILE,
            made=HOSTILE,
        )
    )
    browser.open(path.as_uri(), width=375, dark=False)
    browser.ask("document.querySelector('.tiles button').click()")
    assert browser.ask("document.title").startswith("quiet ")
    assert browser.ask("document.querySelectorAll('img, script:not(#data)').length") == 1
    assert browser.ask("document.documentElement.scrollWidth") <= 375
    assert HOSTILE in browser.ask("document.getElementById('host').textContent")
    assert browser.complaints() == []


def test_a_thousand_hosts_in_a_small_file_that_answers(browser, tmp_path):
    text = render(snapshot(1000), snapshot(1000, first=16))
    assert len(text.encode()) < 1_000_000
    path = tmp_path / "many.html"
    path.write_text(text, "utf-8")
    browser.open(path.as_uri(), width=375, dark=False)
    assert browser.ask("document.querySelectorAll('.tiles li').length") == 1000
    assert browser.ask("document.documentElement.scrollWidth") <= 375
    timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
    filtering = ("(() => { const start = performance.now(), box = document.getElementById('filter'); box.value = 'rack07 drift';"
                 " box.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - start; })()")  # fmt: skip
    print(
        f"\n{len(text.encode())} bytes; loaded after {browser.ask(timing):.0f} ms; filtered in {browser.ask(filtering):.0f} ms"
    )
    assert browser.complaints() == []
