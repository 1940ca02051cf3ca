"""1: every claim's verdict, with its interval, what chance reads, and what the sample could resolve."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, table
from unlearn.audit.report.svg import Scale, line, spanning, tag
from unlearn.audit.statistics import LEVEL

_SIGNS = {"pass": "✓", "fail": "✕", "inconclusive": "?"}
_WIDTH, _HEIGHT = 108, 22
_EDGES = {"low": 0.0, "high": float(_WIDTH)}


VIEW = View(
    "verdicts",
    "Verdicts",
    "Each claim against what chance reads. A bar is the 95 % interval, the upright line the null floor (the same "
    "figure between two models that both never saw the data), the shaded band what this sample cannot tell from it. A "
    "bar that runs off its edge has no known end there.",
    missing="`unlearn audit --json` writes the findings that this view shows.",
    does_not_show="A pass is no proof that nothing is left: it says that this test, at this resolution, saw "
    "nothing. What each test leaves open stands in the table.",
    wide=True,
)


def body(document: Node, looks: Looks) -> Markup:
    """The strip of verdicts."""
    findings, derived = document.at("findings"), document.at("derived", "verdicts")
    if not findings:
        return Markup("")
    metrics = dict.fromkeys(claim["metric"].value for claims in findings for claim in claims)
    heads = [
        "claim",
        *(
            tag("span", looks.key(name), " ", name, _counts(derived.at(name, "counts")), class_="name")
            for name in findings.value
        ),
    ]
    rows: list[list[object]] = []
    for metric in metrics:
        claims = [next((c for c in of if c["metric"].value == metric), None) for of in findings]
        scale = _scale([claim for claim in claims if claim is not None])
        rows.append([metric.replace("_", " "), *(_claim(claim, scale) for claim in claims)])
    caption = tag(
        "div",
        "✓ no more than chance reads, at a resolution at which an effect would have been seen. ✕ more than chance "
        "reads; “not after Holm” where that no longer stands once all figures of the method are corrected for: of so "
        "many tests one may fail by chance. ? the sample cannot tell the two apart. Every line has a scale of its own, "
        "common to its methods.",
        *(tag("p", name, " was not audited: ", why) for name, why in _pairs(document.at("not_audited"))),
    )
    return figure(
        caption,
        table("Verdict of every claim", heads, rows),
        data=_details(findings, derived) + _reasons(document.at("reasons")),
    )


def _scale(claims: Sequence[Node]) -> Scale:
    ends = [claim[name].value for claim in claims for name in ("value", "low", "high", "null_floor")]
    bands = [
        claim["null_floor"].value + way * claim["resolution"].value
        for claim in claims
        for way in (-1, 1)
        if claim["null_floor"].known and claim["resolution"].known
    ]
    return spanning([*ends, *bands], 4.0, _WIDTH - 4.0)


def _counts(counts: Node) -> Markup:
    parts = [
        tag("span", tag("b", _SIGNS[verdict], aria_hidden="true"), " ", number, tag("i", verdict, class_="unseen"),
            class_=f"pill {verdict}")
        for verdict, number in counts.items()
        if number.value
    ]  # fmt: skip
    return tag("span", *parts, class_="counts")


def _claim(claim: Node | None, scale: Scale) -> Markup:
    if claim is None:
        return tag("td", Node(None), class_="claim")
    verdict = claim["verdict"].value
    middle = _HEIGHT / 2
    parts: list[Markup] = []
    floor, resolution = claim["null_floor"].value, claim["resolution"].value
    if floor is not None:
        if resolution is not None:
            low, high = scale(floor - resolution), scale(floor + resolution)
            parts.append(tag("rect", x=low, y=3, width=max(high - low, 1.0), height=_HEIGHT - 6, class_="band"))
        parts.append(line(scale(floor), 1, scale(floor), _HEIGHT - 1, class_="floor"))
    if claim["low"].known or claim["high"].known:  # an end that is not known lies beyond the picture
        low, high = (scale(claim[end].value) if claim[end].known else edge for end, edge in _EDGES.items())
        parts.append(line(low, middle, high, middle, class_=f"bar {verdict}"))
    if claim["value"].known:
        parts.append(tag("circle", cx=scale(claim["value"].value), cy=middle, r=4, class_=f"dot {verdict}"))
    picture = tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", width=_WIDTH, height=_HEIGHT, aria_hidden="true")
    word = tag("span", tag("b", _SIGNS[verdict], aria_hidden="true"), " ", claim["verdict"], class_=f"word {verdict}")
    alone = () if _stands(claim) else (tag("small", "not after Holm"),)
    return tag("td", picture, tag("span", word, " ", claim["value"], *alone, class_="said"), class_="claim")


def _stands(claim: Node) -> bool:
    """Whether a verdict is no `fail` that Holm's correction for all figures of the method takes back."""
    corrected = claim.at("p_holm")
    return claim["verdict"].value != "fail" or not corrected.known or corrected.value <= LEVEL


def _details(findings: Node, derived: Node) -> Markup:
    rows = [
        [
            method,
            claim["metric"],
            claim["verdict"],
            *(claim[name] for name in ("value", "low", "high", "null_floor", "resolution")),
            *(claim.at(name) for name in ("p_value", "p_holm")),
            derived.at(method, "margins", place),
            _listed(claim["requires"]),
            tag("td", claim["does_not_show"], class_="prose"),
        ]
        for method, claims in findings.items()
        for place, claim in enumerate(claims)
    ]
    heads = [
        "method",
        "metric",
        "verdict",
        "value",
        "low",
        "high",
        "null floor",
        "resolution",
        "p",
        "p, Holm",
        "margin",
        "needed",
        "does not show",
    ]
    return table(
        "Margin: distance from the null floor less the resolution; below zero nothing could be told", heads, rows
    )


def _reasons(reasons: Node) -> Markup:
    """What could not be measured, and why."""
    rows = [
        [method, metric, tag("td", why, class_="prose")] for method, of in _pairs(reasons) for metric, why in _pairs(of)
    ]
    return table("Not measured", ["method", "metric", "because"], rows) if rows else Markup("")


def _pairs(node: Node) -> list[tuple[str, Node]]:
    return list(node.items()) if node else []


def _listed(names: Node) -> Markup:
    return tag("td", Markup(", ").join(name.__html__() for name in names), class_="prose")
