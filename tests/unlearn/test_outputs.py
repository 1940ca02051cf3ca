"""What cannot be written is told, nothing is changed by asking, and a file is written as a whole or not at all."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest

from unlearn.outputs import obstacle, require_writable, write


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


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("old", "utf-8")
    there.chmod(0o640)
    (tmp_path / "link.json").symlink_to(there)
    write(tmp_path / "link.json", b"new")
    write(tmp_path / "a" / "b" / "new.json", b"new")
    assert (tmp_path / "link.json").is_symlink()
    assert (there.read_text("utf-8"), there.stat().st_mode & 0o777) == ("new", 0o640)
    (tmp_path / "plain").touch()
    assert (tmp_path / "a" / "b" / "new.json").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain").unlink()
    assert {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*") if file.is_file()} == {
        "there.json", "link.json", "a/b/new.json"
    }  # fmt: skip


def test_where_there_is_no_room_what_was_there_stays(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("old", "utf-8")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))  # as a disk that has so much left
    try:
        for file in (there, tmp_path / "new.json"):
            with pytest.raises(OSError, match=f"{file} could not be written .file too large.; make room there"):
                write(file, b"x" * 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()} == {"there.json": "old"}


def test_a_device_or_a_pipe_is_written_to(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="/dev/full could not be written .no space left on device."):
        write(Path("/dev/full"), b"x")
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"told")
    reader.join()
    assert read == [b"told"] and pipe.is_fifo()
