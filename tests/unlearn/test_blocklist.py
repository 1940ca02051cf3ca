"""Suppression is seen by every process at once, survives kills, and names nobody on disk."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from unlearn.blocklist import Blocklist
from unlearn.target import Pseudonyms, Subject

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
