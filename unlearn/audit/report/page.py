"""The page: a pure function of the document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from markupsafe import Markup

from unlearn.audit.report.document import shortened
from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.sections import SECTIONS
from unlearn.audit.views.derive import derive
from unlearn.looks import environment


def render(document: Mapping[str, Any]) -> str:
    """The report as one HTML file that needs nothing else.

    The document is what `read` gives. It is embedded, with what was derived from it under `derived`; every number on
    the page carries the JSON pointer of where it stands there. The signals of single models stay behind: they are as
    large as the pool, and what is drawn of them is under `derived`.
    """
    whole = {name: part for name, part in shortened(document).items() if name not in ("derived", "signals")}
    whole["derived"] = derive(whole | {"signals": document.get("signals")})
    root = Node(whole)
    looks = Looks(_names(whole))
    templates = environment("unlearn.audit.report")
    page = templates.get_template("page.html")
    return page.render(
        document=root, sections=[(view, body(root, looks)) for view, body in SECTIONS], embedded=_embedded(whole)
    )


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    """Every method in the order of its first appearance: it decides its colour."""
    yield from (row["name"] for row in document.get("comparison", {}).get("methods", ()))
    yield from document.get("findings", ())
    yield from document.get("views", {}).get("ranks", {}).get("models", ())
    yield from (stream["method"] for stream in document.get("streams", ()))


def _embedded(document: Mapping[str, Any]) -> Markup:
    """JSON that no HTML parser can leave early."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))
