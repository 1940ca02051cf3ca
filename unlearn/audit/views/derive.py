"""Every view that needs only an audit's figures: a pure function of its JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from unlearn.audit.views.attack import attacks
from unlearn.audit.views.power import power
from unlearn.audit.views.records import records
from unlearn.jsonable import without_nan


def derive(document: Mapping[str, Any]) -> dict[str, Any]:
    """Verdicts, attacks, records, power and the hash of the settings, as far as the document has what they need."""
    settings = document.get("settings") or document.get("comparison", {}).get("settings")
    found = {
        "verdicts": _verdicts(document["findings"]) if document.get("findings") else None,
        "attack": attacks(document),
        "records": records(document),
        "power": power(document["comparison"]) if document.get("comparison") else None,
        "settings_sha256": _hash(settings) if settings else None,
    }
    return without_nan({name: view for name, view in found.items() if view})


def _verdicts(findings: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """How many of each method's claims came out how, and each claim's margin: |value - floor| - resolution."""
    return {
        method: {
            "counts": {
                verdict: sum(claim["verdict"] == verdict for claim in claims)
                for verdict in ("pass", "fail", "inconclusive")
            },
            "margins": [
                None
                if None in (claim["value"], claim["null_floor"], claim["resolution"])
                else abs(claim["value"] - claim["null_floor"]) - claim["resolution"]
                for claim in claims
            ],
        }
        for method, claims in findings.items()
    }


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
