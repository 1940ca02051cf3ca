"""A package that is installed beside this one adds to what is found by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

MODULE = """
from dataclasses import dataclass

from unlearn.audit.attacks import Metric
from unlearn.audit.attacks import register as metric
from unlearn.worst_case import Ranking
from unlearn.worst_case import register as selector

for made_by, base in ((selector, Ranking), (metric, Metric)):
    made_by(dataclass(frozen=True)(type("Own", (base,), {"name": "own"})))
"""
# Each asked for by itself: neither waits for the methods to have been.
ASKED = {
    "selectors": "from unlearn.worst_case import selectors as names",
    "metrics": "from unlearn.audit.attacks import metrics as names",
}


def test_its_selectors_and_metrics_are_found_as_its_methods_are(tmp_path: Path) -> None:
    info = tmp_path / "third_party-1.0.dist-info"
    info.mkdir()
    (tmp_path / "third_party.py").write_text(MODULE, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text("[unlearn.methods]\nthird_party = third_party\n", "utf-8")
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    running = {
        kind: subprocess.Popen(
            [sys.executable, "-c", f"{script}; assert 'own' in names()"], env=os.environ | {"PYTHONPATH": path}
        )
        for kind, script in ASKED.items()
    }
    assert {kind: one.wait(timeout=60) for kind, one in running.items()} == dict.fromkeys(ASKED, 0)
