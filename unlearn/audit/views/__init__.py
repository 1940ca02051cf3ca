"""What a report shows beyond the figures of an audit: lists, ripples, tables, curves; as plain values for JSON."""

from __future__ import annotations

from unlearn.audit.views.collect import collect
from unlearn.audit.views.contract import Surroundings
from unlearn.audit.views.derive import derive
from unlearn.audit.views.provenance import provenance

__all__ = ["Surroundings", "collect", "derive", "provenance"]
