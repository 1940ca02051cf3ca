"""Results as JSON, which cannot hold numbers that are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any


def without_nan(value: Any) -> Any:
    """The value with None for what is no finite number, in mappings, lists and tuples at any depth."""
    if isinstance(value, Mapping):
        return {name: without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def json_text(value: Any) -> str:
    """The value as JSON and a line end; null for what is no finite number, text for what JSON knows nothing of.

    Times are written as ISO 8601 has them, and so as the service's API does.
    """
    return json.dumps(without_nan(value), indent=1, allow_nan=False, default=_text) + "\n"


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
