"""What the views are made of: sections, figures with a caption and their table, switches between panels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from unlearn.audit.report.marks import centre, spread
from unlearn.audit.report.node import Node
from unlearn.audit.report.svg import tag


@dataclass(frozen=True)
class View:
    """What a view says whatever the data; `missing` names what would give the data where there are none."""

    key: str
    title: str
    lead: str
    missing: str = ""
    does_not_show: str = ""
    wide: bool = False  # a table that needs the whole page


def cell(found: Node, *, grey: bool = False, runs: int = 0) -> Markup:
    """A figure with its spread as a table has it, and its `n` where that is below `runs`.

    `grey` marks one that chance reads as well.
    """
    value = centre(found)
    if value.value is None:
        return tag("td", value)
    low, high = spread(found)
    around = () if low.value is None or high.value is None else (tag("small", "[", low, ", ", high, "]"),)
    n = found.at("n")
    if n.known and n.value < runs:
        around = (*around, tag("small", "n = ", n, class_="survivors"))
    sort = None if isinstance(value.value, str) else value.value
    return tag("td", value, *around, class_="within" if grey else None, data_sort=None if sort is None else repr(sort))


def runs_of(comparison: Node) -> int:
    """How many runs a figure of the comparison should stand on: its seeds, or its requests."""
    per_seed = comparison.at("statistic").value == "interval"
    return len((comparison.at("seeds") if per_seed else comparison.at("raw", "requests")).value or ())


def table(caption: str, head: Sequence[object], rows: Sequence[Sequence[object]], *, sortable: bool = False) -> Markup:
    """The first column names the row; cells that are no `td` yet become one."""

    def written(entry: object) -> object:
        return entry if isinstance(entry, Markup) and entry.startswith("<td") else cell_of(entry)

    columns = [
        tag("th", tag("button", name, type="button") if sortable and name != "" else name, scope="col") for name in head
    ]
    body = [tag("tr", tag("th", first, scope="row"), *(written(entry) for entry in rest)) for first, *rest in rows]
    inside = (tag("caption", caption), tag("thead", tag("tr", *columns)), tag("tbody", *body))
    found = tag("table", *inside, class_="sortable" if sortable else None)
    return tag("div", found, class_="scroll", tabindex=0, role="region", aria_label=caption)


def cell_of(entry: object) -> Markup:
    """A figure's cell, or one of whatever is given."""
    return cell(entry) if isinstance(entry, Node) else tag("td", entry)


def figure(caption: object, *charts: Markup, data: Markup | None = None, legend: Markup | None = None) -> Markup:
    """Charts side by side as far as there is room, what they show, and behind them the numbers."""
    behind = () if data is None else (tag("details", tag("summary", "Table"), data),)
    shown = tag("div", *charts, class_="charts")
    return tag("figure", *(() if legend is None else (legend,)), shown, tag("figcaption", caption), *behind)


def switch(name: str, label: str, panels: Sequence[tuple[str, Markup]]) -> Markup:
    """One of several panels at a time, chosen by keyboard or pointer; all of them where there is no script."""
    options = [tag("option", title, value=str(place)) for place, (title, _) in enumerate(panels)]
    chooser = tag("label", label, " ", tag("select", *options, data_switch=name), class_="switch")
    shown = [
        tag("div", tag("h4", title, class_="panel-title"), panel, class_="panel", data_panel=name)
        for title, panel in panels
    ]
    return tag("div", chooser, *shown, class_="switched", id=name)
