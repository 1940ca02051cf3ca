"""Versions that are not published yet."""

from __future__ import annotations

from pathlib import Path

from unlearn.staging import Staging


def test_a_staged_version_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Whoever closed the workspace has not closed the folder beside it."""
    staging = Staging.beside(tmp_path / "model")

    def write(folder: Path) -> str:
        (folder / "users").write_text("ann", "utf-8")
        return "abc"

    for facts in ({"made": 1}, {"made": 2}):
        assert staging.stage("batch", write, facts) == staging.facts("batch") == {**facts, "digest": "abc"}
    assert staging.version("batch").stat().st_mode & 0o777 == 0o700
    staging.unstage("batch")
    assert staging.versions() == []
