"""Suppression is seen by every process at once, survives kills, and names nobody on disk."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from unlearn.blocklist import Blocklist
from unlearn.target import Pseudonyms, Subject
from unlearn.workspace import Workspace

PSEUDONYMS = Pseudonyms(bytes(32))


def person(name: object) -> Subject:
    return Subject("email", f"{name}@example.org")


def opened(folder: Path) -> Blocklist:
    return Blocklist(folder / "blocked", PSEUDONYMS)


def test_others_see_it_at_once_and_after_a_restart(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    assert one.add([person(1), person(2), person(1)]) == 2
    assert person(1) in other and person(2) in opened(tmp_path) and person(3) not in other
    assert Subject("phone", "1@example.org") not in one
    other.discard([person(1)])
    assert person(1) not in one and person(2) in one and len(opened(tmp_path)) == 1


def test_nobody_else_can_keep_people_from_being_suppressed(tmp_path: Path) -> None:
    """A lock is held by whoever can open its file, be it for reading alone."""
    blocked, workspace = opened(tmp_path), Workspace(tmp_path / "model", "marker", "a command", "model")
    with workspace.held():
        blocked.add([person(1)])
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir() if path.name.endswith("lock")}
    assert modes == {".blocked.lock": 0, ".model.unlearn-lock": 0}


def test_what_was_added_is_on_disk_when_it_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked, synced, sync = opened(tmp_path), list[bytes](), os.fsync

    def noting(file: int) -> None:
        sync(file)
        synced.append((tmp_path / "blocked").read_bytes())

    monkeypatch.setattr(os, "fsync", noting)
    for change in (blocked.add, blocked.discard):
        change([person(1)])
        assert synced[-1] == (tmp_path / "blocked").read_bytes()
    assert len(synced) == 2


def test_repeating_writes_nothing_and_no_name_is_written(tmp_path: Path) -> None:
    blocked = opened(tmp_path)
    blocked.add([person(1)])
    content = (tmp_path / "blocked").read_bytes()
    blocked.add([person(1)])
    blocked.discard([person(2)])
    assert (tmp_path / "blocked").read_bytes() == content
    assert b"example" not in content


@pytest.mark.parametrize("torn", [1, 33, 65])
def test_half_a_record_of_a_killed_writer_is_dropped(tmp_path: Path, torn: int) -> None:
    opened(tmp_path).add([person(1)])
    with (tmp_path / "blocked").open("ab") as file:
        file.write(b"+" * torn)
    reader, writer = opened(tmp_path), opened(tmp_path)
    assert len(reader) == 1
    writer.add([person(2)])
    assert person(2) in reader and len(reader) == len(opened(tmp_path)) == 2


def _add_to_a_full_disk(folder: Path) -> None:
    """Room is left for a record and a half: of four, the system takes those, and says so."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (66 * 2 + 33, resource.RLIM_INFINITY))
    blocked = opened(folder)
    with pytest.raises(OSError, match="too large"):
        blocked.add(map(person, range(1, 5)))


def test_nobody_is_said_to_be_blocked_for_whom_the_disk_had_no_room(tmp_path: Path) -> None:
    opened(tmp_path).add([person(0)])
    writer = multiprocessing.get_context("fork").Process(target=_add_to_a_full_disk, args=(tmp_path,))
    writer.start()
    writer.join()
    assert writer.exitcode == 0
    after = opened(tmp_path)
    assert after.add(map(person, range(1, 5))) == 4 and all(person(k) in after for k in range(5))


def _add(folder: Path, worker: int) -> None:
    blocked = opened(folder)
    for k in range(50):
        blocked.add([person(f"{worker}.{k}")])


def test_writers_do_not_overwrite_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add, args=(tmp_path, worker)) for worker in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(opened(tmp_path)) == 150


def test_pseudonyms_depend_on_type_value_and_key() -> None:
    subjects = [Subject("ab", "c"), Subject("a", "bc"), Subject("a", "b")]
    names = {Pseudonyms(bytes([k] * 32)).of(subject) for k in range(2) for subject in subjects}
    assert len(names) == 6 and {len(name) for name in names} == {64}
    assert PSEUDONYMS.of(subjects[0]) == PSEUDONYMS.of(Subject("ab", "c"))
    assert "bc" not in repr(subjects[1])
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Pseudonyms(b"short")
