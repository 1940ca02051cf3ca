"""11: from what, with what and when it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, table

_PARTS = {
    "settings": "Settings",
    "digests": "Digests of the data",
    "provenance": "Versions, hardware, time",
}


_KINDS = ("users", "items", "interactions", "ties", "records")

VIEW = View(
    "provenance",
    "Provenance",
    "What the audit was made from. The time is that of the audit, not of this page: the same JSON gives the same page, "
    "byte for byte.",
    missing="The JSON holds neither settings nor digests.",
    does_not_show="That the figures were computed as stated: run it again with these settings and compare.",
)


def body(document: Node, _: Looks) -> Markup:
    """Every leaf of the parts, as they stand."""
    tables: list[Markup] = []
    for part, title in _PARTS.items():
        place = document.at(part) or document.at("comparison", part)
        rows = [[name, leaf] for name, leaf in _leaves(place)] if place else []
        if part == "settings" and document.at("derived", "settings_sha256"):
            rows.append(["SHA-256 of the settings", document.at("derived", "settings_sha256")])
        if rows:
            tables.append(table(title, ["what", "value"], rows))
    requests = document.at("comparison", "raw", "requests")
    if requests:
        rows = [
            [request["seed"], request["request"], *(request["counts"].at(kind) for kind in _KINDS), request["digest"]]
            for request in requests
        ]
        heads = ["seed", "request", *_KINDS, "keyed digest"]
        tables.append(table("Requests, by keyed digest; the key was thrown away", heads, rows))
    return Markup("").join(tables)


def _leaves(place: Node, name: str = "") -> Iterator[tuple[str, Node]]:
    """Every value below a place that is no mapping, named by its keys; lists as they are."""
    if isinstance(place.value, Mapping):
        for key, inside in place.items():
            yield from _leaves(inside, f"{name}.{key}" if name else key)
    elif place.known:
        yield name, place
