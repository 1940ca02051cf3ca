"""What MLflow can hold: names and values checked before anything is sent, every problem at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z0-9_./ -]{1,250}")
_DIGEST = re.compile(r"[0-9a-f]{8,}")
PARAM_LENGTH = 6_000  # MLflow cuts longer values off silently
DIGEST_LENGTH = 32  # MLflow allows 36


def _name_problems(names: Mapping[str, object], what: str) -> list[str]:
    return [
        f"the name of a {what} must be 1 to 250 letters, digits, '_', '-', '.', '/' or spaces, and no path to "
        f"elsewhere (got {name!r}): write {_nearest(name) or 'a name'!r}"
        for name in names
        if not _NAME.fullmatch(name) or name != _plain(name)
    ]


def _nearest(name: str) -> str:
    return _plain(re.sub("[^A-Za-z0-9_./ -]+", "_at_" if "@" in name else "_", name))[:250]


def _plain(name: str) -> str:
    """The name without what would lead elsewhere if it were a path, as MLflow reads it."""
    return re.sub(r"^\.\.+", "", "/".join(part for part in name.split("/") if part not in ("", ".", "..")))


def _raise(problems: list[str]) -> None:
    if problems:
        raise ValueError("\n".join(["the tracker cannot keep this:", *(f"- {p}" for p in problems)]))


def text(value: object) -> str:
    """A value as MLflow keeps it: text as it is, everything else as JSON (or its own text where JSON has none)."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def checked_params(values: Mapping[str, object]) -> dict[str, str]:
    """Settings as text.

    Raises:
        ValueError: names that MLflow refuses, values that it would cut off.
    """
    texts = {name: text(value) for name, value in values.items()}
    _raise(
        _name_problems(values, "parameter")
        + [
            f"parameter {name!r} must be at most {PARAM_LENGTH} characters (got {len(value)}): keep it by `artifact`"
            for name, value in texts.items()
            if len(value) > PARAM_LENGTH
        ]
    )
    return texts


def checked_metrics(values: Mapping[str, float | None]) -> dict[str, float]:
    """Figures as floats, without those that are None.

    Raises:
        ValueError: names that MLflow refuses.
    """
    _raise(_name_problems(values, "metric"))
    return {name: float(value) for name, value in values.items() if value is not None}


def checked_dataset(name: str, digest: str, counts: Mapping[str, int]) -> str:
    """The profile of a dataset as JSON: counts only.

    Raises:
        ValueError: a digest that is not hexadecimal (an id, perhaps), a count that is not a whole number.
    """
    _raise(
        ([] if name else ["the name of a dataset must not be empty"])
        + ([] if _DIGEST.fullmatch(digest) else [f"digest must be at least 8 hexadecimal digits (got {digest!r})"])
        + [
            f"counts[{key!r}] must be a whole number, never an id or a list (got {type(value).__name__})"
            for key, value in counts.items()
            if type(value) is not int
        ]
    )
    return json.dumps(dict(counts))
