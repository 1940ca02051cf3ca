"""What a report is made of: the JSON of an audit, and of what else was measured beside it, as one document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from unlearn.audit.comparison import FORMAT

_SCORES = 120_000  # about one megabyte of them
_OF_AUDIT = {"findings", "comparison", "views", "signals"}
_OF_COMPARISON = ("format", "statistic", "methods", "absent", "settings", "seeds", "digests", "raw")


def read(files: Sequence[Path]) -> dict[str, Any]:
    """One document from the JSON of `unlearn audit`, `unlearn evaluate` and streams, in any order.

    Of the JSON of `unlearn worst-case` it is the comparison on the set that was found, without the ids of that set.

    Raises:
        ValueError: listing every file that is no JSON of these in the present format, and every part that two files
            bring.
    """
    found: dict[str, Any] = {}
    problems: list[str] = []
    for file in files:
        try:
            content = json.loads(file.read_text("utf-8"), parse_constant=_no_number)
        except (ValueError, UnicodeDecodeError) as error:
            problems.append(f"`{file}` must be JSON ({error})")
            continue
        parts = _parts(content)
        if parts is None:
            problems.append(
                f"`{file}` must come from `unlearn audit` or `unlearn evaluate` in format {FORMAT}, or hold a `Stream`"
            )
            continue
        twice = sorted(parts.keys() & found.keys() - {"format", "streams"})
        if twice:
            problems.append(f"`{file}` must not bring {', '.join(twice)} a second time; make one report of each")
        found |= parts | {"streams": [*found.get("streams", []), *parts.get("streams", [])]}
    if problems:
        raise ValueError("\n".join(problems))
    return found


def shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with no more scores of single examples than a page holds, an even choice of each list by rank.

    How many are left of the longer ones is said under `shortened_to`; findings and comparison are those of all scores,
    and what is derived from single ones (the attack by plain scores) of those that are left.
    """
    raw = document.get("comparison", {}).get("raw", {})
    rows: list[dict[str, Any]] = raw.get("measurements", [])
    sides = ("positive", "negative")
    most = max(_SCORES // max(len(rows) * len(sides), 1), 100)
    if all(len(row["raw"][side]) <= most for row in rows for side in sides):
        return dict(document)
    fewer = [row | {"raw": row["raw"] | {side: _even(row["raw"][side], most) for side in sides}} for row in rows]
    comparison = document["comparison"] | {"raw": raw | {"measurements": fewer}}
    return {**document, "comparison": comparison, "shortened_to": most}


def _even(ordered: Sequence[float | None], most: int) -> list[float | None]:
    """At most so many of the values, both ends included."""
    if len(ordered) <= most:
        return list(ordered)
    return [ordered[round(place * (len(ordered) - 1) / (most - 1))] for place in range(most)]


def _parts(content: Any) -> dict[str, Any] | None:
    """The content by the parts of a document; None if it is none of them, or in another format."""
    if not isinstance(content, Mapping):
        return None
    if content.keys() >= {"steps", "method", "prepare_seconds"}:
        return {"streams": [dict(content)]}
    if content.get("format") != FORMAT:
        return None
    if content.keys() >= {"streams", "reasons", "settings"}:
        return {"streams": list(content["streams"])}
    if content.keys() >= {"statistic", "methods", "raw"}:
        return {"comparison": {name: content[name] for name in _OF_COMPARISON if name in content}}
    return dict(content) if content.keys() & _OF_AUDIT else None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; what is no number must be null")
