"""The example's page, shown in a browser from disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.unlearn.audit.report import example
from tests.watching import Watched
from unlearn.audit.report import read, render


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("audit") / "audit.json"
    file.write_text(example.text(), "utf-8")
    return file


@pytest.fixture(scope="session")
def html(audit: Path) -> str:
    return render(read([audit]))


@pytest.fixture(scope="session")
def embedded(html: str) -> dict[str, Any]:
    """The JSON in the page."""
    text = html.split('<script type="application/json" id="document">')[1].split("</script>")[0]
    return json.loads(text)


@pytest.fixture
def page(browser: Browser, html: str, tmp_path: Path) -> Iterator[Page]:
    """The page, opened from disk. Afterwards: nothing went wrong in it, and it asked for nothing but itself."""
    file = tmp_path / "report.html"
    file.write_text(html, "utf-8")
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    watched = Watched.on(opened)
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert watched.wrong == []
    assert [url for url in watched.asked if not url.startswith("blob:")] == [file.as_uri()]
