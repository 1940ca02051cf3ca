"""The page as text: whole, offline, reproducible, and without a number that its JSON does not hold."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unlearn.audit.report import example
from unlearn.audit.report import read, render
from unlearn.audit.report.document import shortened
from unlearn.audit.report.node import NONE, short
from unlearn.audit.report.sections import SECTIONS

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Texts(HTMLParser):
    """Text by the elements around it: (names, classes, nearest data-path, text)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[list[str], list[str], str | None, str]] = []
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip():
            paths = [each["data-path"] for _, each in self._open if each.get("data-path") is not None]
            classes = [name for _, each in self._open for name in (each.get("class") or "").split()]
            self.found.append(([name for name, _ in self._open], classes, paths[-1] if paths else None, data))


def resolve(document: Any, pointer: str) -> Any:
    for key in pointer.split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        document = document[int(key) if isinstance(document, list) else key]
    return document


def test_every_traced_text_is_what_the_json_holds_there(html: str, embedded: dict[str, Any]) -> None:
    traced = [(path, text) for _, _, path, text in Texts(html).found if path is not None]
    assert len(traced) > 1_500
    wrong = [(path, text) for path, text in traced if text != short(resolve(embedded, path))]
    assert wrong == []


def test_every_number_in_a_table_or_list_is_traced(html: str) -> None:
    texts = Texts(html).found
    untraced = [
        (names[-3:], text)
        for names, _, path, text in texts
        if {"td", "dd"} & set(names) and re.match(r"[\s\[\u2212]*\d", text) and path is None
    ]
    assert untraced == []


def test_rounding_keeps_three_digits_and_never_hides_a_sign() -> None:
    said = {
        0.0: "0", 5: "5", -0.25: "\u22120.250", 0.12345: "0.123", 12.345: "12.3", 1234.5: "1234",
        0.00012345: "1.23e\u22124", 123456.7: "1.23e5", True: "True", "text": "text", None: NONE, 12345: "12\u2009345",
    }  # fmt: skip
    assert {value: short(value) for value in said} == said
    for value in (0.07, 3.14159, 42.42, 777.7, 98_765.4, 1.5e-7, 2.5e9):
        assert float(short(-value).replace("\u2212", "-")) == pytest.approx(-value, rel=0.01)


def test_the_page_holds_its_json_whole(embedded: dict[str, Any]) -> None:
    whole = example.document()
    assert whole.pop("signals")  # as large as the pool; what is drawn of them is derived
    assert {name: part for name, part in embedded.items() if name != "derived"} == whole
    assert set(embedded["derived"]) == {"verdicts", "attack", "records", "power", "settings_sha256"}


def test_the_same_json_gives_the_same_bytes(audit: Path, html: str) -> None:
    assert render(read([audit])) == html
    other = example.document()
    other["findings"]["iau"][0]["value"] += 0.01
    assert render(other) != html


def test_it_is_one_offline_file_under_five_megabytes(html: str) -> None:
    assert len(html.encode()) < 5e6
    assert "default-src 'none'" in html
    assert re.findall(r"""(?:https?:)?//[a-z0-9-]+\.[a-z]|url\(|@import|<link|<img|<iframe|\bsrc=""", html) == []


def test_many_scores_are_thinned_evenly_and_the_page_says_so() -> None:
    document = example.document()
    for row in document["comparison"]["raw"]["measurements"]:
        row["raw"]["positive"] = [0.001 * k for k in range(5_000)]
    found = shortened(document)
    kept = found["comparison"]["raw"]["measurements"][0]["raw"]["positive"]
    assert len(kept) == found["shortened_to"] < 5_000
    assert (kept[0], kept[-1]) == (0, 4.999) and max(np.diff(kept)) <= 2 * min(np.diff(kept)) + 1e-9
    assert len(document["comparison"]["raw"]["measurements"][0]["raw"]["positive"]) == 5_000
    page = render(document)
    assert len(page.encode()) < 5e6 and "an even choice" in page


def test_no_id_of_a_user_or_an_item_is_in_it(html: str) -> None:
    assert re.findall(r"\b[ui]\d{6}\b", html) == []


def test_views_without_data_say_what_would_give_it(embedded: dict[str, Any]) -> None:
    page = render({"comparison": example.document()["comparison"]})
    missing = {
        view.key for view, _ in SECTIONS if re.search(rf'<section id="{view.key}".*?Not in this audit', page, re.S)
        and "Not in this audit" in page.split(f'<section id="{view.key}"')[1].split("</section>")[0]
    }  # fmt: skip
    assert missing == {"verdicts", "records", "ranks", "ripple", "representation", "sequence"}
    for key in missing - {"sequence"}:
        assert "<code>unlearn audit --json</code>" in page.split(f'<section id="{key}"')[1].split("</section>")[0]
    assert "Not in this audit" not in render(example.document())


def test_text_in_the_json_cannot_become_markup() -> None:
    document = example.document()
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    document["settings"]["data"] = evil
    document["findings"]["no_op"][0]["does_not_show"] = evil
    document["findings"][evil] = document["findings"].pop("iau")
    page = render(document)
    assert "<script>alert" not in page and "<img" not in page
    assert page.count("</script>") == 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_figures_that_are_missing_are_shown_as_missing(seeds: int) -> None:
    """One seed has no interval, a method none of some figures, a claim no floor."""
    document = example.document()
    claim = document["findings"]["iau"][0]
    claim |= dict.fromkeys(("value", "low", "high", "null_floor", "resolution"))
    for row in document["comparison"]["methods"]:
        for figure in row.values():
            if seeds == 1 and isinstance(figure, dict):
                figure |= {"low": None, "high": None}
        row["ndcg_at_20"] = None
    document["comparison"]["methods"].append({"name": "shards", "reason": "`shards` needs a model of its own"})
    document["reasons"] = {"iau": {"klom": "the pool is too small"}}
    page = render(document)
    assert "needs a model of its own" in page and "the pool is too small" in page
    assert '<span class="none">' in page


def test_what_is_to_know_of_the_model_is_said_once() -> None:
    document = example.document()
    for request in (requests := document["comparison"]["raw"]["requests"]):
        request["raw"]["caveat"] = "the solution fills it"
    text = "".join(said for *_, said in Texts(render(document)).found if "{" not in said)
    assert len(requests) > 1 and text.count("the solution fills it") == 1


def test_a_mean_over_survivors_is_shown_as_one() -> None:
    document = example.document()
    assert 'class="survivors"' not in render(document)
    document["comparison"]["methods"][0]["retrain_gap"]["n"] = 2
    page = render(document)
    assert 'n = <span class="number" data-path="/comparison/methods/0/retrain_gap/n">2</span>' in page


def test_a_failure_that_does_not_survive_holm_says_so() -> None:
    document = example.document()
    claims = document["findings"]["no_op"]
    assert {claim["verdict"] for claim in claims} == {"fail"}
    for claim, corrected in zip(claims, (0.01, 0.2, None), strict=False):
        claim["p_holm"] = corrected
    assert render(document).count("<small>not after Holm</small>") == 1


@pytest.mark.parametrize(("positive", "negative"), [([1.0], [2.0]), ([1.0], [1.0]), ([1.0, 2.0], [1.0])])
def test_a_single_score_a_side_is_drawn(positive: list[float], negative: list[float]) -> None:
    document = example.document()
    for row in document["comparison"]["raw"]["measurements"]:
        row["raw"] |= {"positive": positive, "negative": negative}
    assert 'id="attack"' in render(document)


def test_files_are_joined_by_what_they_are(tmp_path: Path) -> None:
    whole = example.document()
    parts = {
        "audit": {name: whole[name] for name in ("format", "findings", "views", "settings", "signals")},
        "comparison": whole["comparison"],
        "stream": whole["streams"][0],
    }
    files = {name: tmp_path / f"{name}.json" for name in parts}
    for name, part in parts.items():
        files[name].write_text(json.dumps(part), "utf-8")
    found = read(list(files.values()))
    assert found["findings"] == whole["findings"] and found["comparison"] == whole["comparison"]
    assert found["streams"] == whole["streams"]
    (tmp_path / "broken.json").write_text("{", "utf-8")
    (tmp_path / "other.json").write_text('{"a": 1}', "utf-8")
    with pytest.raises(ValueError) as refused:
        read([files["audit"], files["audit"], tmp_path / "broken.json", tmp_path / "other.json"])
    said = str(refused.value)
    assert "findings, settings, signals, views a second time" in said
    assert "broken.json` must be JSON" in said and "other.json` must come from" in said


@pytest.mark.parametrize(
    "text",
    ['{"findings": {"a": [{"metric": "b"}]}}', '{"comparison": 3}', '{"views": 10}', '{"signals": {"SIGTERM": 15}}',
     '{"statistic": 1, "methods": 2, "raw": 3}', '{"streams": 3, "reasons": 1, "settings": 2}'],
)  # fmt: skip
def test_what_only_looks_like_an_audit_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "foreign.json"
    for content in (text, text.replace("{", '{"format": 2, ', 1)):
        file.write_text(content, "utf-8")
        with pytest.raises(ValueError, match="foreign.json` must come from .* in format 1"):
            read([file])


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have_are_refused_where_they_stand(name: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    file.write_text(f'{{"format": 1, "findings": {{}}, "settings": {{"l2": {name}}}}}', "utf-8")
    with pytest.raises(ValueError, match=f"audit.json` must be JSON .{name} is no JSON"):
        read([file])


@pytest.mark.skipif("PYTHONPATH" in os.environ, reason="PYTHONPATH may put the checkout before the installed package")
def test_templates_are_installed() -> None:
    from importlib.metadata import files

    installed = {str(file) for file in files("unlearn-recsys") or []}
    folder = Path(__file__).resolve().parents[4] / "unlearn/audit/report/templates"
    names = {f"unlearn/audit/report/templates/{file.name}" for file in folder.iterdir()}
    assert len(names) == 3 and names <= installed
