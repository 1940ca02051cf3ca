"""7: threshold attacks: what a guess comes to at any threshold, and at every false alarm rate."""

from __future__ import annotations

import json

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, switch, table
from unlearn.audit.report.svg import Chart, Scale, line, path, tag, text
from unlearn.audit.views.attack import ASKED

_CAPTION = (
    "Left: the two distributions and the threshold (at first where the advantage is largest). Right: share of the "
    "forgotten that are caught at each rate of false alarms, both axes logarithmic; shaded the 95 % interval (over "
    "models, which exchange who had what; of plain scores over examples, for these models alone), grey the worst case "
    "over all attacks and both directions, dashed what chance catches."
)
_RATES = {
    "tpr": "forgotten called members",
    "fpr": "never seen called members",
    "accuracy": "balanced accuracy",
    "advantage": "advantage",
}


VIEW = View(
    "attack",
    "Attack",
    "An attacker calls everything from a threshold on a member of the training data. Drag the line, or focus it "
    "and press the arrow keys. Above the axis what was forgotten, below it what was never seen; where the two "
    "mirror each other the attack is blind.",
    missing="`unlearn audit --json` and `unlearn evaluate --json` write the scores that attacks read.",
    does_not_show="One threshold for everybody overstates privacy: attacks fitted to single records are stronger. "
    "An attack that reads less than chance is no better than one that reads more: turned round, it works.",
)


def body(document: Node, looks: Looks) -> Markup:
    """One panel for each attack on each method."""
    view = document.at("derived", "attack")
    if not view:
        return Markup("")
    panels = [
        (_name(attack, of), _panel(attack, of, view["envelope"], looks))
        for attack in view["attacks"]
        for of in attack["methods"]
    ]
    preferred = sorted(
        range(len(panels)), key=lambda k: (panels[k][0].split(": ")[-1] in ("no_op", "graph_drop", "row_drop"), k)
    )
    thinned: tuple[object, ...] = ()
    if document.at("shortened_to").known:
        most = document.at("shortened_to")
        thinned = (" Of each run at most ", most, " scores a side are here, an even choice by rank.")
    return figure(
        tag("span", _CAPTION, *thinned),
        switch("attacks", "Attack and method", [panels[k] for k in preferred]),
        data=_table(view),
    )


def _name(attack: Node, of: Node) -> str:
    return f"{attack['name'].value}: {of['method'].value}"


def _panel(attack: Node, of: Node, envelopes: Node, looks: Looks) -> Markup:
    name = of["method"].value
    rates = [
        tag("div", tag("dt", title), tag("dd", tag("output", of["at_threshold"][key], data_rate=key)))
        for key, title in _RATES.items()
    ]
    rates.append(tag("div", tag("dt", "threshold"), tag("dd", tag("output", of["threshold"], data_rate="threshold"))))
    rates.append(
        tag(
            "div",
            tag("dt", f"area under the curve, interval over {of['over'].value}"),
            tag("dd", of["auc"]["value"], " [", of["auc"]["low"], ", ", of["auc"]["high"], "]"),
        )
    )
    rates.append(tag("div", tag("dt", "area by chance"), tag("dd", of["auc"]["chance"])))
    rates.append(tag("div", tag("dt", "examples"), tag("dd", of["n_positive"], " / ", of["n_negative"])))
    charts = tag("div", _butterfly(attack, of), _curve(of, envelopes.at(name), looks), class_="charts")
    pointers = {side: json.dumps(of[side].value) for side in ("positive", "negative")}
    return tag(
        "div", charts, tag("dl", *rates, class_="rates", aria_live="polite"),
        class_="attack", data_positive=pointers["positive"], data_negative=pointers["negative"],
    )  # fmt: skip


def _butterfly(attack: Node, of: Node) -> Markup:
    histogram = of["histogram"]
    edges: list[float] = histogram["edges"].value
    chart = Chart(_name(attack, of), 440, 280, left=46, right=14, top=22)
    x = Scale(edges[0], edges[-1], *chart.x_range)
    tallest = max(*histogram["positive"].value, *histogram["negative"].value)
    middle, half = sum(chart.y_range) / 2, (chart.y_range[0] - chart.y_range[1]) / 2 - 6
    for side, way in (("positive", -1), ("negative", 1)):
        for low, high, share in zip(edges, edges[1:], histogram[side].value, strict=False):
            size = half * share / tallest
            left, width = x(low), max(x(high) - x(low) - 0.6, 0.4)
            chart.add(
                tag(
                    "rect",
                    x=left,
                    y=middle - size if way < 0 else middle,
                    width=width,
                    height=size,
                    class_=f"fly {side}",
                )
            )
    chart.x_axis(x, "score: the higher, the more it speaks for membership")
    chart.add(line(*chart.x_range[:1], middle, chart.x_range[1], middle, class_="axis"))
    chart.add(text(chart.left + 4, chart.top + 8, "forgotten", class_="label fly-positive"))
    chart.add(text(chart.left + 4, chart.y_range[0] - 6, "never seen", class_="label fly-negative"))
    at = x(of["threshold"].value)
    handle = tag(
        "g",
        line(0, chart.top - 8, 0, chart.y_range[0], class_="threshold"),
        tag("path", d=f"M-6 {chart.top - 16}H6V{chart.top - 8}L0 {chart.top - 1}L-6 {chart.top - 8}Z", class_="grip"),
        tag("rect", x=-14, y=0, width=28, height=chart.y_range[0], class_="reach"),
        class_="slider", transform=f"translate({at:.2f} 0)", tabindex=0, role="slider",
        aria_label=f"Threshold, {_name(attack, of)}", aria_orientation="horizontal",
        aria_valuemin=repr(edges[0]), aria_valuemax=repr(edges[-1]), aria_valuenow=repr(of["threshold"].value),
        data_start=f"{chart.x_range[0]}", data_end=f"{chart.x_range[1]}",
    )  # fmt: skip
    chart.add(handle)
    return chart.svg(role="group")


def _curve(of: Node, envelope: Node, looks: Looks) -> Markup:
    roc = of["roc"]
    lowest = 0.5 / max(of["n_positive"].value, of["n_negative"].value)
    chart = Chart(f"Share caught against false alarms, {of['method'].value}", 320, 280, left=54)
    x = Scale(min(roc["fpr"].value[0], lowest * 2, 0.5), 1.0, *chart.x_range, log=True)
    y = Scale(lowest, 1.0, *chart.y_range, log=True)
    chart.x_axis(x, "false alarms among the never seen", grid=True)
    chart.y_axis(y, "caught among the forgotten")
    band = [*zip(roc["fpr"].value, roc["high"].value, strict=True)]
    band += [*zip(roc["fpr"].value, roc["low"].value, strict=True)][::-1]
    colour = looks.colour(of["method"].value)
    chart.add(tag("polygon", points=" ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in band), class_=f"interval {colour}"))
    chart.add(path([(x(f), y(f)) for f in roc["fpr"].value], class_="curve nothing dashed"))
    if envelope:
        points = zip(envelope["fpr"].value, envelope["tpr"].value, strict=True)
        chart.add(path([(x(a), y(b)) for a, b in points], class_="curve envelope"))
    points = zip(roc["fpr"].value, roc["tpr"].value, strict=True)
    chart.add(path([(x(a), y(b)) for a, b in points], class_=f"curve {colour}"))
    at = of["at_threshold"]
    scales = {f"data_{axis}": f"{s.low} {s.high} {s.start} {s.end}" for axis, s in (("x", x), ("y", y))}
    chart.add(tag("circle", cx=x(at["fpr"].value), cy=y(at["tpr"].value), r=5, class_=f"here {colour}", **scales))
    return chart.svg()


def _table(view: Node) -> Markup:
    def caught(roc: Node, fpr: float) -> Node:
        rates = roc["fpr"].value
        return roc["tpr"][rates.index(fpr)] if fpr in rates else Node(None)

    rows = [
        [
            attack["name"], of["method"], of["n_positive"], of["n_negative"], of["auc"], of["auc"]["chance"],
            of["threshold"], *(of["at_threshold"][key] for key in _RATES),
            *(caught(of["roc"], rate) for rate in ASKED),
        ]
        for attack in view["attacks"]
        for of in attack["methods"]
    ]  # fmt: skip
    heads = [
        "attack",
        "method",
        "forgotten",
        "never seen",
        "AUC",
        "AUC by chance",
        "threshold",
        *_RATES.values(),
        *(f"caught at {100 * rate:g} % false alarms" for rate in ASKED),
    ]
    return table("Every attack, at the threshold of the largest advantage", heads, rows)
