"""`require_writable` and `obstacle`: what cannot be written is told, and nothing is changed by asking."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from unlearn.outputs import obstacle, require_writable


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("kept", "utf-8")
    before = there.stat().st_mtime_ns
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    names = sorted(tmp_path.iterdir())
    for file in (there, tmp_path / "new.json", tmp_path / "a" / "b" / "new.json", tmp_path / "link.json"):
        assert obstacle(file) is None
    assert obstacle(Path("/dev/null")) is None
    require_writable(json=there, track=None, out=Path("-"))
    assert sorted(tmp_path.iterdir()) == names
    assert (there.read_text("utf-8"), there.stat().st_mtime_ns) == ("kept", before)


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert obstacle(tmp_path / "pipe") is None  # to open it would wait for whoever reads


def test_all_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ValueError) as told:
        require_writable(json=tmp_path, out=Path("/proc/nope/x.db"), html=tmp_path / "file" / "x", fine=tmp_path / "x")
    lines = str(told.value).splitlines()
    assert [line.split("`")[1] for line in lines] == ["json", "out", "html"]
    assert lines[0].endswith(f"(got {tmp_path}: it is a folder)")
    assert "/proc/nope/x.db: " in lines[1] and lines[2].endswith(f"{tmp_path / 'file'} is no folder)")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file"]
