"""Templates, filled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from unlearn.looks import environment
from unlearn.looks.figures import short
from unlearn.requests.page import shown, telling
from unlearn.requests.page.sessions import Visit

_TEMPLATES = environment("unlearn.requests.page")
_FILTERS: Mapping[str, Any] = {"figure": short, "moment": shown.moment, "span": shown.span, "told": telling.told}
_TEMPLATES.filters.update(_FILTERS)
# Part of every page and named by digest in its policy, so that nothing else can be style or script.
STYLE, SCRIPT = (Markup(_TEMPLATES.get_template(name).render()) for name in ("style.css", "script.js"))


def page(template: str, *, status: int = 200, visit: Visit | None = None, here: str = "", **values: Any) -> Response:
    """An answer; `here` is the part of the page that its navigation marks."""
    content = _TEMPLATES.get_template(template).render(style=STYLE, script=SCRIPT, visit=visit, here=here, **values)
    return HTMLResponse(content, status)
