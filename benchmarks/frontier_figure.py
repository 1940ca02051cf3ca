"""Which methods are efficient, and a picture of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REFERENCES = ("retrain", "placebo")  # rows that are no methods
COUPLED = "by seed"  # what a comparison calls the reference of training that samples
_HIGHEST = 3.0  # gap at which what is worse is drawn, with an arrow
_FAINTEST = 1e-4


class Point(NamedTuple):
    """A method on one request: middle figures over seeds or requests."""

    name: str
    seconds: float
    gap: float  # see `distance`
    difference: float | None  # |forget AUC - that of the retrain|
    speedup: float | None
    own_model: bool = False  # the method serves with a model of its own

    @property
    def label(self) -> str:
        """The name without the figure to which a method was calibrated."""
        return self.name.partition(":calibrate")[0]

    def __str__(self) -> str:
        gap, seconds = f"gap {self.gap:9.3g}", f"{self.seconds:9.3g} s"
        difference = "-" if self.difference is None else f"{self.difference:.3f}"
        speedup = "-" if self.speedup is None else f"{self.speedup:.1f}"
        return f"{self.label:48} {gap}  forget AUC off by {difference:>6}  {seconds}  speed-up {speedup:>7}"


def middle(figure: Mapping[str, Any] | None) -> float | None:
    """Mean or median of a figure as a comparison writes it."""
    return None if figure is None else figure.get("mean", figure.get("median"))


def distance(gap: float | None, floor: float | None, reference: str) -> float | None:
    """max(gap, floor); where training samples the reference is a coupled retrain, and no floor of seeds applies."""
    if gap is None or not isfinite(gap):
        return None
    return gap if reference == COUPLED else max(gap, floor or 0.0)


def points(cell: Mapping[str, Any]) -> list[Point]:
    """Every method of a cell that has a gap and a price."""
    raw = cell["raw"]["requests"][0]["raw"]
    foreign = {name for subject in raw["subjects"] for name in subject["methods"]}
    found: list[Point] = []
    for row in cell["methods"]:
        own = {name: middle(value) for name, value in row.items() if isinstance(value, Mapping)}
        gap, seconds = distance(own.get("retrain_gap"), own.get("gap_floor"), raw["reference"]), own.get("seconds")
        if row["name"] in REFERENCES or gap is None or not seconds:
            continue
        auc, wanted = own.get("forget_auc"), own.get("retrain_auc")
        difference = None if auc is None or wanted is None else abs(auc - wanted)
        speedup = own.get("speedup_vs_retrain")
        found.append(Point(row["name"], seconds, gap, difference, speedup, row["name"] in foreign))
    return found


def efficient(found: Sequence[Point]) -> list[Point]:
    """Those that no other is as fast as and nearer than, or as near as and faster than; by seconds.

    Who serves with another model is measured against that model's retrain, and stands outside.
    """
    kept: list[Point] = []
    for point in sorted(found, key=lambda one: (one.seconds, one.gap)):
        if not point.own_model and (not kept or point.gap < kept[-1].gap):
            kept.append(point)
    return kept


def shown(gap: float) -> float:
    """Where a gap is drawn."""
    return min(_HIGHEST, max(gap, _FAINTEST))


def name_points(axes: Axes, found: Sequence[Point]) -> None:
    """Names beside the points, of the efficient in bold, where they cover no other name."""
    best = efficient(found)
    taken: list[Any] = []
    for point in sorted(found, key=lambda one: (one not in best, one.gap)):
        name = point.label + (" (own model)" if point.own_model else "") + (" ↑" if point.gap > _HIGHEST else "")
        for offset, side in (((4, 3), "left"), ((4, -8), "left"), ((-4, 3), "right"), ((-4, -8), "right")):
            text = axes.annotate(
                name,
                (point.seconds, shown(point.gap)),
                xytext=offset,
                textcoords="offset points",
                ha=side,
                fontsize=7,
                weight="bold" if point in best else "normal",
            )
            text.set_in_layout(False)
            box = text.get_window_extent()
            if axes.bbox.containsx(box.x0) and axes.bbox.containsx(box.x1) and not box.count_overlaps(taken):
                taken.append(box)
                break
            text.remove()


def draw(cells: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel for every cell: seconds against gap (see `distance`), both logarithmic; best is the lower left corner.

    The colour is how far the forget AUC is from the retrain's. The grey line is a cold retrain on its way: what lies
    above it costs more than training anew for as long. A name that finds no room is left to the table.
    """
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure

    columns = min(2, len(cells))
    rows = -(-len(cells) // columns)
    figure = Figure(figsize=(7.0 * columns, 5.0 * rows), layout="constrained")
    norm, colours = LogNorm(1e-3, 0.3, clip=True), colormaps["viridis_r"]
    panels = figure.subplots(rows, columns, squeeze=False).flat
    drawn = None
    for cell, axes in zip(cells, panels, strict=False):  # in this order no panel is lost
        found = points(cell)
        line = cell["raw"]["requests"][0]["raw"]["trajectory"]
        way = [(seconds, gap) for seconds, gap in line if gap is not None]
        axes.plot(
            [seconds for seconds, _ in way],
            [shown(gap) for _, gap in way],
            color="0.75",
            lw=3,
            label="a cold retrain on its way",
        )
        best = efficient(found)
        axes.step(
            [p.seconds for p in best], [shown(p.gap) for p in best], where="post", color="k", lw=1, label="efficient"
        )
        drawn = axes.scatter(
            [p.seconds for p in found],
            [shown(p.gap) for p in found],
            c=[_FAINTEST if p.difference is None else max(p.difference, _FAINTEST) for p in found],
            norm=norm,
            cmap=colours,
            edgecolors="k",
            linewidths=0.5,
            zorder=3,
        )
        axes.axhline(1.0, color="0.5", lw=0.5, ls=":")  # nothing done
        axes.set(
            xscale="log", yscale="log", xlabel="seconds", ylabel="gap to the retrain, or its floor; 1: nothing done"
        )
        axes.set_title(f"{cell['dataset']}, {cell['model']}, {cell['objective']}, {cell['request']}", fontsize=9)
        axes.legend(fontsize=7, loc="lower left")
    for axes in list(panels):
        axes.set_visible(False)
    if drawn is not None:
        figure.colorbar(drawn, ax=figure.axes, label="|forget AUC - that of the retrain|", shrink=0.6)
    figure.draw_without_rendering()  # only now is it known where things are
    for cell, axes in zip(cells, figure.axes, strict=False):
        name_points(axes, points(cell))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
