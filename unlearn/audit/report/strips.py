"""A small chart of one figure: one line a model, its middle and spread along a common scale."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from unlearn.audit.report.marks import Looks, centre, ends, middle
from unlearn.audit.report.node import Node
from unlearn.audit.report.svg import Chart, line, spanning, text

_WIDTH, _ROW = 322, 19


def strip(
    title: str,
    rows: Sequence[tuple[str, Node]],
    looks: Looks,
    *,
    low: float | None = None,
    high: float | None = None,
    reference: Node | None = None,
) -> Markup:
    """Rows from top to bottom; `low` and `high` are shown whatever the values are, `reference` as an upright line."""
    chart = Chart(title, _WIDTH, 44 + _ROW * len(rows), left=104, bottom=38, top=6)
    shown = [end for _, node in rows for end in (middle(node), *ends(node))]
    x = spanning([*shown, low, high, reference.value if reference else None], *chart.x_range, pad=0.03)
    chart.x_axis(x, title, grid=True)
    if reference is not None and reference.known:
        at = x(reference.value)
        chart.add(line(at, chart.top, at, chart.y_range[0], class_="floor", data_path=reference.path))
    for place, (name, node) in enumerate(rows):
        y = chart.top + _ROW * (place + 0.5)
        chart.add(text(chart.left - 8, y + 3.5, name, class_="tick name", text_anchor="end"))
        if not centre(node).known:
            continue
        a, b = ends(node)
        if a is not None and b is not None:
            chart.add(line(x(a), y, x(b), y, class_=f"whisker {looks.colour(name)}"))
        chart.add(looks.mark(name, x(middle(node)), y, size=4, title=f"{name}: {centre(node)}"))
    return chart.svg()
