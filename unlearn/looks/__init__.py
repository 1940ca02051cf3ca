"""What every page of this project looks like: `house.css` has the colours, the type and what else they share."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def environment(package: str) -> Environment:
    """Templates of a package, which may include `house.css`: everything is escaped, nothing may be missing."""
    made = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("unlearn.looks")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["prose"] = prose
    return made


def prose(text: str) -> Markup:
    """Text in which what stands between backticks is code."""
    pieces = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece for place, piece in enumerate(pieces)
    )
