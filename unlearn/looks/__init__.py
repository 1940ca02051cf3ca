"""What every page of this project looks like: `house.css` has the colours, the type and what else they share."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def environment(package: str) -> Environment:
    """Templates of a package, which may include `house.css`: everything is escaped, nothing may be missing."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("unlearn.looks")]), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
