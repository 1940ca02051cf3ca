"""What is sealed can be read with its key alone, under its own name, and never again once the key is destroyed."""

from __future__ import annotations

from pathlib import Path

import pytest

from unlearn.seal import DamagedSeal, Seal

SECRET = b"what somebody bought" * 3


def content(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_it_can_be_read_until_it_is_destroyed(tmp_path: Path) -> None:
    seal = Seal(tmp_path, "b1")
    assert not seal.exists and Seal.all(tmp_path) == []
    seal.write(b"first")
    seal.write(SECRET)
    assert seal.exists and seal.read() == SECRET and SECRET not in content(tmp_path)
    assert Seal.all(tmp_path) == [seal]
    seal.destroy()
    seal.destroy()
    assert not seal.exists and seal.left() == 0
    with pytest.raises(FileNotFoundError):
        seal.read()


def test_the_key_is_overwritten_where_it_lies(tmp_path: Path) -> None:
    seal = Seal(tmp_path, "b1")
    seal.write(SECRET)
    (tmp_path / "hard link").hardlink_to(tmp_path / "b1.key")
    seal.destroy()
    assert (tmp_path / "hard link").read_bytes() == bytes(32)


def test_the_key_of_what_was_sealed_before_is_overwritten_too(tmp_path: Path) -> None:
    seal = Seal(tmp_path, "b1")
    seal.write(b"first")
    (tmp_path / "hard link").hardlink_to(tmp_path / "b1.key")
    seal.write(SECRET)
    assert (tmp_path / "hard link").read_bytes() == bytes(32) and seal.read() == SECRET


def test_killed_after_that_it_is_no_seal_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in nobody's way: every other batch reads all that is sealed."""
    seal, other = Seal(tmp_path, "b1"), Seal(tmp_path, "b2")
    for one in (seal, other):
        one.write(SECRET)

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("unlearn.durable.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            seal.destroy()
    assert seal.left() == 2 and not seal.exists
    assert [one.read() for one in Seal.all(tmp_path)] == [SECRET]
    seal.destroy()
    assert seal.left() == 0


def test_a_changed_or_exchanged_file_is_noticed(tmp_path: Path) -> None:
    first, second = Seal(tmp_path, "b1"), Seal(tmp_path, "b2")
    first.write(SECRET)
    for suffix in (".sealed", ".key"):
        (tmp_path / f"b2{suffix}").write_bytes((tmp_path / f"b1{suffix}").read_bytes())
    with pytest.raises(DamagedSeal):
        second.read()
    sealed = bytearray((tmp_path / "b1.sealed").read_bytes())
    sealed[-1] ^= 1
    (tmp_path / "b1.sealed").write_bytes(sealed)
    with pytest.raises(DamagedSeal):
        first.read()


def test_half_a_seal_is_none_and_can_be_made_again(tmp_path: Path) -> None:
    seal = Seal(tmp_path, "b1")
    seal.write(SECRET)
    (tmp_path / "b1.sealed").unlink()
    assert not seal.exists and Seal.all(tmp_path) == []
    seal.write(SECRET)
    assert seal.read() == SECRET
