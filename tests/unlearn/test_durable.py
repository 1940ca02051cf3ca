"""Files that are there as a whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from unlearn import durable
from unlearn.outputs import obstacle


def test_content_is_replaced_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "kept"
    durable.replace(file, b"old")
    durable.replace(file, b"new")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o600)
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    durable.replace(file, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, before[1]))  # as a disk that has so much left
    try:
        with pytest.raises(OSError, match="File too large") as raised:
            durable.replace(file, b"x" * 2_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.filename == str(file)
    assert {one.name: one.read_bytes() for one in tmp_path.iterdir()} == {"kept": b"old"}


@pytest.mark.parametrize("link", [True, False])
def test_nothing_is_written_through_what_others_put_in_its_place(tmp_path: Path, link: bool) -> None:
    """In a folder that is others', too: through their link, or into their file, which they may go on reading."""
    file, theirs = tmp_path / "kept", tmp_path / "theirs"
    theirs.write_bytes(b"theirs")
    theirs.chmod(0o666)
    beside = durable.unfinished(file)
    beside.symlink_to(theirs) if link else beside.hardlink_to(theirs)
    assert obstacle(file) is None and theirs.read_bytes() == b"theirs"
    beside.symlink_to(theirs) if link else beside.hardlink_to(theirs)
    durable.replace(file, b"new")
    assert (file.read_bytes(), file.stat().st_mode & 0o777, file.is_symlink()) == (b"new", 0o600, False)
    assert (theirs.read_bytes(), theirs.stat().st_mode & 0o777) == (b"theirs", 0o666)


def test_removing_takes_what_a_killed_writer_left(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    durable.replace(file, b"old")
    durable.unfinished(file).write_bytes(b"half")
    durable.remove(file)
    durable.remove(file)  # is no error
    assert not list(tmp_path.iterdir())
