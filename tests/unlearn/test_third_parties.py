"""A package that is installed beside this one adds to what is found by name, or is named as what is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unlearn.plugins import UnusablePlugin
from unlearn.requests.service import load_targets
from unlearn.target import Pseudonyms

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


def installed(folder: Path, module: str, *groups: str) -> dict[str, str]:
    """The environment of a process for which that module is installed and offered to those groups."""
    info = folder / "third_party-1.0.dist-info"
    info.mkdir()
    (folder / "third_party.py").write_text(module, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1.0\n", "utf-8")
    offered = "".join(f"[{group}]\nthird_party = third_party\n" for group in groups)
    (info / "entry_points.txt").write_text(offered, "utf-8")
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


def test_its_selectors_and_metrics_are_found_as_its_methods_are(tmp_path: Path) -> None:
    environment = installed(tmp_path, MODULE, "unlearn.methods")
    running = {
        kind: subprocess.Popen([sys.executable, "-c", f"{script}; assert 'own' in names()"], env=environment)
        for kind, script in ASKED.items()
    }
    assert {kind: one.wait(timeout=60) for kind, one in running.items()} == dict.fromkeys(ASKED, 0)


BROKEN = "raise OSError('no library\\nof mine')"
NAMED = "`third-party` 1.0 offers `third_party` as {}, which cannot be imported (OSError: no library of mine)"


def test_a_broken_package_is_named_and_only_what_needs_it_fails(tmp_path: Path) -> None:
    environment = installed(tmp_path, BROKEN, "unlearn.methods", "unlearn.commands")
    ends: dict[str, tuple[int, str]] = {}
    for asked in ("models", "methods"):
        done = subprocess.run(
            [sys.executable, "-m", "unlearn", asked], env=environment, capture_output=True, text=True, timeout=120
        )
        ends[asked] = done.returncode, done.stderr
    warned = f"warning: {NAMED.format('unlearn.commands')}; repair or uninstall that package\n"
    assert ends["models"] == (0, warned)
    code, said = ends["methods"]
    assert code == 2 and said.startswith(warned)
    assert said.removeprefix(warned) == f"error: {NAMED.format('unlearn.methods')}; repair or uninstall that package\n"


def test_a_target_of_a_broken_package_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, BROKEN, "unlearn.targets")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_targets({}, Pseudonyms(b"p" * 32)) == {}  # nobody asks for it
    with pytest.raises(UnusablePlugin) as caught:
        load_targets({"mine": {"kind": "third_party"}}, Pseudonyms(b"p" * 32))
    assert NAMED.format("unlearn.targets") in str(caught.value)
