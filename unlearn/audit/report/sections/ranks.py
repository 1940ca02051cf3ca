"""5: what users see: lists, exposure of items, gaps between groups of users."""

from __future__ import annotations

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, switch, table
from unlearn.audit.report.strips import strip
from unlearn.audit.report.svg import Chart, Scale, path, tag, text

_REFERENCES = ("original", "retrain", "second retrain")
_STRATA = ("low", "middle", "high")


VIEW = View(
    "ranks",
    "Rank shift",
    "The lists of the affected users, against those of the retrain: what they have in common (Jaccard), how well "
    "the tops agree (rank-biased overlap), which items gained or lost places, and whom the change served.",
    missing="`unlearn audit --json` keeps the models long enough to write `views.ranks`.",
    does_not_show="Equal lists can hide unequal scores: nothing here says what an attacker who sees scores learns.",
)


def body(document: Node, looks: Looks) -> Markup:
    """Lists, exposure, groups, and three users in full."""
    view = document.at("views", "ranks")
    if not view:
        return Markup("")
    models = view["models"]
    names = [name for name in models.value if name != "retrain"]
    lists = [
        strip("Jaccard with the retrain's list", [(n, models[n]["jaccard"]) for n in names], looks, low=0, high=1),
        strip("rank-biased overlap", [(n, models[n]["rbo"]) for n in names], looks, low=0, high=1),
    ]
    heads = ["model", "Jaccard", "rank-biased overlap", "exposure distance", "items shown"]
    rows = [[n, of["jaccard"], of["rbo"], of["exposure_distance"], of["items_shown"]] for n, of in models.items()]
    parts = [
        figure("Median over affected users; the line spans the 10th to the 90th percentile.", *lists,
               data=table("Lists against the retrain's", heads, rows), legend=looks.legend(names)),
        _groups(view, looks),
    ]  # fmt: skip
    if view.at("examples"):
        parts.append(_examples(view, looks))
    return Markup("").join(parts)


def _groups(view: Node, looks: Looks) -> Markup:
    """Exposure by popularity and utility by activity, each model beside the retrain."""
    models = view["models"]
    groups = list(view["items_in_group"].value)
    exposure = [
        strip(f"places held by {group} items", [(n, of["exposure"][group]) for n, of in models.items()], looks,
              reference=models["retrain"]["exposure"][group])
        for group in groups
    ]  # fmt: skip
    strata = [s for s in _STRATA if f"ndcg_at_20_{s}" in models["retrain"]["utility"].value]
    utility = [
        strip(f"NDCG@20, users of {s} activity", [(n, of["utility"][key]) for n, of in models.items()], looks,
              reference=models["retrain"]["utility"][key])
        for s, key in ((s, f"ndcg_at_20_{s}") for s in strata)
    ]  # fmt: skip
    heads = ["model", *(f"{g} items" for g in groups), *(f"NDCG@20 {s}" for s in strata), "high less low"]
    rows = [
        [
            n,
            *(of["exposure"][g] for g in groups),
            *(of["utility"][f"ndcg_at_20_{s}"] for s in strata),
            of["fairness_gap"],
        ]
        for n, of in models.items()
    ]
    return figure(
        "Above: share of all places in the lists that items of each third of popularity hold. Below: accuracy by "
        "users' activity; a method that pays with its quiet users shows here. Upright line: the retrain.",
        *exposure,
        *utility,
        data=table(
            "Exposure by popularity, accuracy by activity, and the gap between active and quiet users", heads, rows
        ),
    )


def _examples(view: Node, looks: Looks) -> Markup:
    methods = [n for n in view["examples"][0]["lists"].value if n not in _REFERENCES] or ["second retrain"]
    panels = [
        (
            method,
            Markup("").join(_bump(example, method, view["places"].value, looks) for example in view["examples"]),
        )
        for method in methods
    ]
    shown = [(method, tag("div", charts, class_="charts")) for method, charts in panels]
    caption = (
        "Three users without names: the one whose list the deletion moved most (10th percentile of the overlap between "
        "before and retrain), the median, and the 90th percentile. A line is an item; bold lines entered or left."
    )
    data = [
        table(
            f"User at quantile {example['quantile'].value:g}: items, numbered by first appearance, best first",
            ["place", *example["lists"].value],
            [
                [str(place + 1), *(of.at(place) for of in example["lists"])]
                for place in range(max(len(of) for of in example["lists"]))
            ],
        )
        for example in view["examples"]
    ]
    return figure(caption, switch("bumps", "Method", shown), data=Markup("").join(data))


def _bump(example: Node, method: str, places: int, looks: Looks) -> Markup:
    """Ranks before, after unlearning and after the retrain, joined item by item."""
    columns = ["original", method, "retrain"]
    chart = Chart(f"Ranks before, by {method}, by retrain", 322, 340, left=26, bottom=24, top=30, right=26)
    x = Scale(0, 2, chart.x_range[0] + 26, chart.x_range[1] - 26)
    y = Scale(1, places, float(chart.top + 8), chart.y_range[0] - 4)
    lists: list[list[int]] = [example["lists"][name].value for name in columns]
    for number, (name, items) in enumerate(zip(columns, lists, strict=True)):
        chart.add(text(x(number), 13, name, class_=f"title {looks.colour(name)}", text_anchor="middle"))
        chart.add(
            *(text(x(number), y(k + 1) + 3, str(k + 1), class_="rank", text_anchor="middle") for k in range(len(items)))
        )
    for item in dict.fromkeys(item for items in lists for item in items):
        ranks = [items.index(item) + 1 if item in items else None for items in lists]
        steady = None not in ranks
        for left in (0, 1):
            a, b = ranks[left], ranks[left + 1]
            if a is None and b is None:
                continue
            out = y.end + 14
            ya, yb = (out if rank is None else y(rank) for rank in (a, b))
            chart.add(path([(x(left) + 9, ya), (x(left + 1) - 9, yb)], class_="bump" if steady else "bump moved"))
    said = tag("figcaption", "overlap with the retrain before unlearning ", example["rbo"])
    return tag("div", chart.svg(), said, class_="sub")
