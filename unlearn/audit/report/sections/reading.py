"""12: how to read the page, by eye, by keyboard, by program."""

from __future__ import annotations

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View
from unlearn.audit.report.svg import tag

_POINTS = (
    ("Colour", "never carries meaning alone: methods differ in shape, verdicts in sign and word. The colours keep "
     "apart under the common kinds of colour blindness, on light and on dark ground."),
    ("Tables", "stand behind every chart; wide ones scroll, and can be focused and scrolled by keyboard."),
    ("Keyboard", "Tab reaches every control. On a threshold: left and right move it, Page Up and Page Down move it "
     "farther, Home and End to its ends. On a heading of the screening table: Enter sorts."),
    ("Numbers", "carry the place in the JSON that they come from (attribute data-path, a JSON pointer); hold the "
     "pointer over one to see it."),
    ("Privacy", "The page holds no id of a user or an item. Single users and items are numbered within their example."),
)  # fmt: skip


VIEW = View("reading", "How to read this", "By eye, by keyboard, by program.")


def body(_: Node, __: Looks) -> Markup:
    """What the page promises to everybody who reads it."""
    points = [tag("div", tag("dt", name), tag("dd", said)) for name, said in _POINTS]
    save = tag("button", "Save the JSON of this page", type="button", id="save", hidden="hidden")
    data = tag(
        "p",
        "The JSON that this page was made from is in it, in the element with the id ",
        tag("code", "document"),
        ". ",
        save,
    )
    return Markup("").join([tag("dl", *points, class_="points"), data])
