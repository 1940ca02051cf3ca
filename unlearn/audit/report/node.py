"""A value together with where it stands in the document, so that every number on the page can be traced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from unlearn.audit.report.svg import tag
from unlearn.looks.figures import NONE, short


class Node:
    """A place in a JSON document; `path` is its JSON pointer (RFC 6901).

    Written into a template a number becomes an element that carries the pointer; the text is never formatted anywhere
    else.
    """

    def __init__(self, value: Any, path: str = "") -> None:
        self.value, self.path = value, path

    def __getitem__(self, key: str | int) -> Node:
        return Node(self.value[key], f"{self.path}/{str(key).replace('~', '~0').replace('/', '~1')}")

    def at(self, *keys: str | int) -> Node:
        """The place below these keys; a place without value where one of them is missing."""
        place = self
        for key in keys:
            inside = place.value
            known = isinstance(inside, Mapping) and key in inside
            known = known or (isinstance(inside, Sequence) and isinstance(key, int) and key < len(inside))
            if not known:
                return Node(None, self.path)
            place = place[key]
        return place

    def __bool__(self) -> bool:
        return bool(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Node]:
        return (self[key] for key in (self.value if isinstance(self.value, Mapping) else range(len(self.value))))

    def items(self) -> Iterator[tuple[str, Node]]:
        return ((key, self[key]) for key in self.value)

    @property
    def known(self) -> bool:
        return self.value is not None

    def __str__(self) -> str:
        return short(self.value)

    def __html__(self) -> Markup:
        if self.value is None:
            return Markup(tag("span", NONE, class_="none"))
        kind = "number" if isinstance(self.value, int | float) and not isinstance(self.value, bool) else "text"
        return tag("span", str(self), class_=kind, data_path=self.path)
