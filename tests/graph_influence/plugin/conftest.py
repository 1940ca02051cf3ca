"""A workspace that a test may change, of the kind that it names."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.graph_influence.plugin.workspaces import stored


@pytest.fixture
def folder(kind: str, tmp_path: Path) -> Path:
    shutil.copytree(stored(kind), tmp_path / "network")
    return tmp_path / "network"
