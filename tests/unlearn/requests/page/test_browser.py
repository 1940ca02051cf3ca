"""The page in a real browser: by keyboard, on a phone, in the dark, without script."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.unlearn.requests.page.conftest import Scene
from tests.unlearn.requests.page.live import served
from tests.watching import Watched
from unlearn.requests.api import create_app
from unlearn.requests.callers import Role
from unlearn.requests.states import RequestState
from unlearn.requests.status import status


@pytest.fixture
def url(scene: Scene) -> Iterator[str]:
    with served(create_app(scene.service)) as found:
        yield found


@pytest.fixture
def context(browser: Browser, url: str) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, base_url=url)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, scene: Scene, url: str) -> Iterator[Page]:
    """Logged in, with the requests before it. Afterwards: nothing went wrong in it, and it asked nobody else."""
    opened = context.new_page()
    watched = Watched.on(opened)
    login(opened, scene.key(Role.OPERATE, Role.AUDIT, Role.SUBMIT, name="shop"))
    yield opened
    assert watched.wrong == []
    assert [one for one in watched.asked if not one.startswith((f"{url}/page/", "data:image/svg+xml"))] == []


def login(page: Page, key: str) -> None:
    page.goto("/page/login")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    page.wait_for_url("**/page/requests")


def paths(scene: Scene) -> list[str]:
    return [
        "requests", "requests?state=all&sort=-controller&page=2", "queue", "models", "holds", "trail?check=true",
        *(f"requests/{scene.ids[name]}" for name in ("completed", "on_hold", "pending", "other")),
        *(f"batches/{id}" for id in scene.batches.values()),
    ]  # fmt: skip


def focused(page: Page) -> Any:
    return page.evaluate("document.activeElement.getAttribute('href') || document.activeElement.id")


def test_keys_search_move_and_open(page: Page, scene: Scene) -> None:
    rows = page.locator("a.row")
    hrefs = [rows.nth(k).get_attribute("href") for k in range(3)]
    for key, place in (("j", 0), ("j", 1), ("j", 2), ("k", 1), ("k", 0), ("k", 0)):
        page.keyboard.press(key)
        assert focused(page) == hrefs[place]
    shadow = "getComputedStyle(document.activeElement.closest('tr').firstElementChild).boxShadow"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert "inset" in page.evaluate(shadow)  # the row shows which it is
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{hrefs[0]}")
    page.keyboard.press("u")
    page.wait_for_url("**/page/requests")
    page.keyboard.press("/")
    assert focused(page) == "search"
    page.keyboard.type(scene.ids["pending"][:8] + "jk?")  # typed, not obeyed
    assert page.get_by_label("Request", exact=True).input_value().endswith("jk?")
    for _ in range(3):
        page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=*")
    assert page.locator("a.row").count() == 1
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


def test_everything_can_be_reached_by_tab_beginning_with_a_way_past_the_head(page: Page, scene: Scene) -> None:
    for path in ("requests?state=in_progress", f"batches/{scene.batches['attention']}", "holds"):
        page.goto(f"/page/{path}")
        page.keyboard.press("Tab")
        skip = page.locator(".skip")
        assert skip.evaluate("e => e === document.activeElement && e.getBoundingClientRect().left >= 0")
        for _ in range(60):
            page.evaluate("document.activeElement.dataset.reached = 1")
            ring = "e => getComputedStyle(e).outlineStyle !== 'none' || e.matches('body')"
            assert page.locator(":focus").evaluate(ring), page.locator(":focus").evaluate("e => e.outerHTML")
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement === document.body || document.activeElement.matches('.skip')"):
                break
        left = """[...document.querySelectorAll('a, button, summary, select, input:not([type=hidden]), [tabindex="0"]')]
            .filter(e => e.checkVisibility() && !e.dataset.reached).map(e => e.outerHTML)"""
        assert page.evaluate(left) == [], path
    skip.focus()
    page.keyboard.press("Enter")
    assert focused(page) == "main"


@pytest.mark.parametrize("width", [1400, 900, 390, 320])
def test_it_fits_the_window(page: Page, scene: Scene, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in paths(scene):
        page.goto(f"/page/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
        cut = """[...document.querySelectorAll('th, td, dd, dt, h1, h2, p')]
            .filter(e => e.checkVisibility() && !e.closest('.scroll, .unseen, pre'))
            .filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.outerHTML)"""
        assert page.evaluate(cut) == [], path
    if width <= 390:
        page.goto("/page/requests")
        texts = page.locator("tbody tr").first.locator(":scope > *:visible").all_inner_texts()
        assert [text.strip() for text in texts] == ["overdue by 2 days", scene.ids["on_hold"][:8], "on hold"]


CONTRAST = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, k) => sum + c * [0.2126, 0.7152, 0.0722][k], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const found = channels(getComputedStyle(e).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  return [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && own(e) && !e.closest("script, style"))
    .map((e) => {
      const style = getComputedStyle(e), text = channels(e.closest("svg") ? style.fill : style.color);
      const [bright, dark] = [light(text), light(ground(e))].sort((a, b) => b - a);
      return [(bright + 0.05) / (dark + 0.05), e.outerHTML.slice(0, 120)];
    });
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(page: Page, scene: Scene, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    grounds: set[str] = set()
    for path in paths(scene):
        page.goto(f"/page/{path}")
        if page.locator("a.row").count():
            page.keyboard.press("j")  # a row that is chosen has another ground
        for details in page.locator("details").all():
            details.evaluate("e => { e.open = true; }")
        found = page.evaluate(CONTRAST)
        assert len(found) > 15 and [one for one in found if one[0] < 4.5] == [], path  # WCAG 2.1, text
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    (ground,) = grounds
    assert (int(np.mean([float(part) for part in ground[4:-1].split(",")])) < 128) == (scheme == "dark")


def test_it_can_be_understood_without_seeing_it(page: Page, scene: Scene) -> None:
    """What axe asks first: names, labels, headings, one main, ids that are unique, headers that say of what."""
    faults = """() => [
      ...[...document.querySelectorAll('input:not([type=hidden]), select')].filter(e => !e.labels.length).map(e => 'no label: ' + e.outerHTML),
      ...[...document.querySelectorAll('a, button, summary')].filter(e => !e.textContent.trim()).map(e => 'no name: ' + e.outerHTML),
      ...[...document.querySelectorAll('nav, [role=region], dialog')].filter(e => !e.ariaLabel && !e.getAttribute('aria-labelledby')).map(e => 'no name: ' + e.outerHTML),
      ...[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].flatMap(e => (e.getAttribute('aria-labelledby') ?? e.getAttribute('aria-describedby')).split(' ')).filter(id => !document.getElementById(id)).map(id => 'leads nowhere: ' + id),
      ...[...document.querySelectorAll('[id]')].filter((e, k, all) => all.findIndex(o => o.id === e.id) !== k).map(e => 'id twice: ' + e.id),
      ...[...document.querySelectorAll('th')].filter(e => !e.scope).map(e => 'no scope: ' + e.outerHTML),
      ...[...document.querySelectorAll('svg')].filter(e => !e.ariaHidden && !(e.role === 'img' && e.ariaLabel)).map(e => 'neither hidden nor named: ' + e.outerHTML),
      ...[...document.querySelectorAll('thead th')].filter(e => e.checkVisibility() && !e.textContent.trim()).map(() => 'a column without a name'),
      ...(document.querySelectorAll('h1').length === 1 && document.querySelectorAll('main').length === 1 ? [] : ['one h1, one main']),
      ...(document.documentElement.lang === 'en' && document.title.length > 9 ? [] : ['language, title']),
    ]"""  # noqa: E501
    titles: list[str] = []
    for path in paths(scene):
        page.goto(f"/page/{path}")
        assert page.evaluate(faults) == [], path
        levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3')].map(e => Number(e.tagName[1]))")
        assert all(after - before <= 1 for before, after in pairwise(levels)), path
        titles.append(page.title())
    assert len({*titles}) == len(titles) - 1  # two pages of the list


def test_the_list_follows_the_ledger_and_keeps_the_place(page: Page, scene: Scene) -> None:
    page.clock.install()
    page.goto("/page/requests?state=pending")
    page.keyboard.press("j")
    page.keyboard.press("j")
    place = focused(page)
    new = scene.ask(99)
    first = page.locator("a.row").first.get_attribute("href")
    scene.service.cancelling.cancel("shop", str(first).split("/")[3][:36])
    page.clock.run_for(16_000)
    page.wait_for_function("href => document.querySelector('a.row').getAttribute('href') === href", arg=place)
    assert focused(page) == place and place != first
    page.get_by_role("button", name="Refreshes by itself").click()
    scene.service.cancelling.cancel("shop", new)
    page.clock.run_for(40_000)
    assert page.locator(".states .number").nth(2).inner_text() == "65"  # told not to
    page.reload()
    assert page.get_by_role("button", name="Refreshes by itself").get_attribute("aria-pressed") == "false"


def test_the_chain_is_checked_once_however_long_somebody_looks(page: Page) -> None:
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/page/trail?check=true")
    assert not page.get_by_role("button", name="Refreshes by itself").is_visible()
    page.clock.run_for(40_000)
    assert [url.rpartition("/")[2] for url in asked if not url.startswith("data:")] == ["trail?check=true"]


def test_a_filter_applies_when_it_is_chosen(page: Page, scene: Scene) -> None:
    page.get_by_label("Due", exact=True).select_option("overdue")
    page.wait_for_url("**due=overdue*")
    assert page.locator("a.row code").inner_text() == scene.ids["on_hold"]
    page.get_by_role("link", name="Clear").click()
    page.get_by_role("link", name="Received").click()
    assert page.locator("th[aria-sort]").inner_text().startswith("Received")
    page.get_by_role("link", name="Next").click()
    assert "page=2" in page.url and "sort=received" in page.url


def test_a_request_is_cancelled_and_its_certificate_saved(page: Page, scene: Scene, tmp_path: Path) -> None:
    page.goto(f"/page/requests/{scene.ids['pending']}")
    page.get_by_text("Cancel the request…").click()
    page.get_by_role("button", name="Cancel the request").click()
    page.wait_for_url("**done=cancelled")
    assert "is cancelled" in page.get_by_role("status").inner_text()
    assert status(scene.service.ledger, "shop", scene.ids["pending"]).state == RequestState.CANCELLED
    page.goto(f"/page/requests/{scene.ids['completed']}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Certificate").click()
    assert download.value.suggested_filename == "certificate-1.json"
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/page/login")
    page.go_back()
    assert page.get_by_label("API key").is_visible()  # nothing was kept


def test_without_script_everything_but_the_keys_works(browser: Browser, url: str, scene: Scene) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=url)
    opened = context.new_page()
    login(opened, scene.key(Role.OPERATE))
    assert not opened.get_by_role("button", name="Refreshes by itself").is_visible()
    opened.get_by_label("Due", exact=True).select_option("overdue")
    opened.get_by_role("button", name="Filter").click()
    assert opened.locator("a.row").count() == 1
    opened.get_by_role("link", name="Holds").click()
    opened.get_by_text("Lift the hold…").click()
    opened.get_by_role("button", name="Lift the hold").click()
    assert "is lifted" in opened.get_by_role("status").inner_text()
    context.close()
