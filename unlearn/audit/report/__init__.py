"""One HTML file that shows an audit: offline, self-contained, and the same bytes for the same JSON."""

from __future__ import annotations

from unlearn.audit.report.document import read
from unlearn.audit.report.page import render

__all__ = ["read", "render"]
