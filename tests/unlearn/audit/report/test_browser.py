"""The page in a real browser: it renders, it can be worked by keyboard and pointer, and its numbers move rightly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Locator, Page

from unlearn.audit.views.attack import rates
from unlearn.looks.figures import short


def visible(page: Page) -> Locator:
    """The attack that is shown."""
    return page.locator("#attack .attack:visible")


def expected(embedded: dict[str, Any], attack: Locator, threshold: float) -> dict[str, str]:
    """What Python says of the same scores at the threshold."""
    sides: list[np.ndarray[Any, Any]] = []
    for side in ("positive", "negative"):
        values: list[float] = []
        for pointer in json.loads(attack.get_attribute(f"data-{side}") or "[]"):
            found: Any = embedded
            for key in pointer.split("/")[1:]:
                found = found[int(key) if isinstance(found, list) else key]
            values += found
        sides.append(np.array(values))
    read = rates(sides[0], sides[1], threshold) | {"threshold": threshold}
    return {name: short(value) for name, value in read.items()}


def shown(attack: Locator) -> dict[str, str]:
    outputs = attack.locator("output[data-rate]").all()
    return {output.get_attribute("data-rate") or "": output.inner_text() for output in outputs}


def threshold(attack: Locator) -> float:
    return float(attack.locator(".slider").get_attribute("aria-valuenow") or "nan")


def test_twelve_views_are_drawn_and_fit_the_window(page: Page) -> None:
    assert page.locator("main > section").count() == 12
    assert page.locator("svg.chart:visible").count() > 30
    empty = "charts => charts.filter(c => c.getBBox().width < 50 || c.getBBox().height < 20).length"
    assert page.locator("svg.chart:visible").evaluate_all(empty) == 0
    for width in (1400, 400):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    style = "getComputedStyle(document.documentElement)"

    def light(name: str) -> float:
        value = page.evaluate(f"{style}.getPropertyValue('{name}')").strip().lstrip("#")
        channels = (int(value[k : k + 2], 16) / 255 for k in (0, 2, 4))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def contrast(name: str) -> float:
        bright, dark = sorted((light(name), light("--paper")), reverse=True)
        return (bright + 0.05) / (dark + 0.05)

    # WCAG 2.1: text 4.5, what is drawn 3.
    assert all(contrast(name) >= 4.5 for name in ("--ink", "--soft", "--link", "--pass", "--fail", "--open"))
    assert all(contrast(name) >= 3 for name in (*(f"--m{k}" for k in range(7)), "--nothing", "--placebo", "--faint"))


def test_keys_move_the_threshold_and_its_numbers(page: Page, embedded: dict[str, Any]) -> None:
    attack = visible(page)
    slider = attack.locator(".slider")
    low, high = (float(slider.get_attribute(f"aria-value{end}") or "nan") for end in ("min", "max"))
    start = threshold(attack)
    assert shown(attack) == expected(embedded, attack, start)
    slider.focus()
    seen = [shown(attack)]
    for key, step in (("ArrowRight", 1), ("ArrowRight", 1), ("ArrowLeft", -1), ("PageDown", -10), ("PageUp", 10)):
        before = threshold(attack)
        page.keyboard.press(key)
        assert threshold(attack) == pytest.approx(min(max(before + step * (high - low) / 200, low), high))
        assert shown(attack) == expected(embedded, attack, threshold(attack))
        seen.append(shown(attack))
    assert len({one["tpr"] for one in seen}) > 1
    page.keyboard.press("Home")
    assert (shown(attack)["tpr"], shown(attack)["fpr"]) == ("1.000", "1.000")
    page.keyboard.press("End")
    assert threshold(attack) == high
    assert shown(attack) == expected(embedded, attack, high)


def test_dragging_moves_the_threshold_its_numbers_and_the_point_on_the_curve(
    page: Page, embedded: dict[str, Any]
) -> None:
    page.locator("select[data-switch=attacks]").select_option(label="likelihood ratio: no_op")
    attack = visible(page)
    chart = attack.locator("svg.chart").first
    chart.scroll_into_view_if_needed()
    box, grip = chart.bounding_box(), attack.locator(".grip").bounding_box()
    assert box and grip
    here = attack.locator(".here")
    before, point = shown(attack), here.get_attribute("cx")
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.4 * box["width"], grip["y"] + 60, steps=4)
    page.mouse.up()
    slider = attack.locator(".slider")
    low, high, start, end = (
        float(slider.get_attribute(name) or "nan")
        for name in ("aria-valuemin", "aria-valuemax", "data-start", "data-end")
    )
    viewed = float((chart.get_attribute("viewBox") or "").split(" ")[2])
    wanted = low + (0.4 * viewed - start) / (end - start) * (high - low)
    assert threshold(attack) == pytest.approx(wanted, abs=(high - low) / 100)
    assert shown(attack) == expected(embedded, attack, threshold(attack)) != before
    assert here.get_attribute("cx") != point
    at = threshold(attack)
    page.mouse.move(box["x"] + 0.8 * box["width"], grip["y"])  # the button is up: nothing follows
    assert threshold(attack) == at
    assert attack.locator("output [data-path]").count() == 0  # computed numbers claim no place in the JSON


def test_everything_can_be_reached_by_keyboard(page: Page) -> None:
    page.locator("body").evaluate("body => { body.tabIndex = -1; body.focus(); }")
    reached: set[str] = set()
    name = """() => { const e = document.activeElement; e.dataset.reached = "1";
        return e.tagName.toLowerCase() + "." + (e.getAttribute("class") || ""); }"""
    for _ in range(400):
        page.keyboard.press("Tab")
        reached.add(found := page.evaluate(name))
        if found == "button." and page.evaluate("document.activeElement.id") == "save":
            break
    assert {"a.skip", "g.slider", "select.", "summary.", "button.", "div.scroll"} <= reached
    left = page.evaluate(
        """[...document.querySelectorAll("a, select, summary, button, [role=slider]")]
        .filter(e => e.checkVisibility() && !e.dataset.reached).length"""
    )
    assert left == 0


def test_headings_sort_the_table_both_ways(page: Page) -> None:
    column = 4  # the retrain gap

    def cells() -> list[str]:
        return page.locator(f"table.sortable tbody tr > :nth-child({column + 1})").evaluate_all(
            "cells => cells.map(cell => cell.dataset.sort ?? '')"
        )

    heading = page.locator(f"table.sortable thead th:nth-child({column + 1})")
    heading.locator("button").focus()
    for state in ("ascending", "descending"):
        page.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == state
        known = [float(value) for value in cells() if value]
        assert known == sorted(known, reverse=state == "descending") and len(known) > 4
        assert cells()[-1] == ""  # the placebo has no gap: last either way
    assert page.locator("th[aria-sort]").count() == 1


def test_the_json_can_be_saved(page: Page, embedded: dict[str, Any], tmp_path: Path) -> None:
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(tmp_path / "saved.json")
    assert json.loads((tmp_path / "saved.json").read_text("utf-8")) == embedded


def test_without_script_every_panel_is_there(html: str, browser: Any, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(html, "utf-8")
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((tmp_path / "report.html").as_uri())
    panels = opened.locator(".panel").all()
    assert len(panels) > 10 and all(panel.is_visible() for panel in panels)
    assert not opened.locator("select").first.is_visible()
    context.close()
