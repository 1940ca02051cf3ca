"""What installed packages bring by their entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any


class UnusablePlugin(ValueError):
    """An installed package offers what cannot be imported."""


def loaded(point: EntryPoint) -> Any:
    """What the entry point names.

    Raises:
        UnusablePlugin: it cannot be imported; the message says which package is to be repaired.
    """
    try:
        return point.load()
    except Exception as error:
        package = "an installed package" if point.dist is None else f"`{point.dist.name}` {point.dist.version}"
        said = " ".join(str(error).split())
        raise UnusablePlugin(
            f"{package} offers `{point.value}` as {point.group}, which cannot be imported ({type(error).__name__}: "
            f"{said}); repair or uninstall that package"
        ) from error
