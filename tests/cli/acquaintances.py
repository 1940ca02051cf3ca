"""Sixty people, and who knows whom."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest

PEOPLE = [uuid.UUID(bytes=np.random.default_rng(k).bytes(16)).hex for k in range(60)]


PLAN = ("--k", "4", "--share", "0.8", "--seed", "3")


@pytest.fixture
def ties(tmp_path: Path) -> Path:
    pairs = np.random.default_rng(0).integers(60, size=(200, 2))
    path = tmp_path / "given" / "ties.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{PEOPLE[u]} {PEOPLE[v]}\n" for u, v in pairs))
    return path
