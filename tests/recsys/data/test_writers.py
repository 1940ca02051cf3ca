from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from recsys.data import Interactions, from_parquet, ratio, read, read_split, synthetic, to_inter, to_parquet
from recsys.errors import InvalidInteractions
from unlearn import durable
from unlearn.forget import ForgetSet
from unlearn.invalid import InvalidInput
from unlearn.vocabulary import Vocabulary


@pytest.fixture
def data():
    return synthetic(60, 40, 500)


def test_a_snapshot_comes_back_with_its_rows(data, tmp_path):
    path = tmp_path / "x.parquet"
    remaining = data.without(ForgetSet(users=data.users.take([3]), items=data.items.take([7])))
    for version in (data, remaining, remaining.take(remaining.indices[:0])):
        to_parquet(version, path)
        assert from_parquet(path).digest() == version.digest()
        assert read(path).digest() == version.digest()


def test_a_snapshot_is_the_same_however_it_is_named(data, tmp_path):
    remaining = data.without(ForgetSet(users=data.users.take([3])))
    path = tmp_path / "interactions.parquet"
    to_parquet(remaining, path)
    (tmp_path / "ties.txt").write_text("from other data\n")
    for found in (read(tmp_path), read(path, format="parquet"), read(tmp_path, format="parquet")):
        assert found.digest() == remaining.digest()
        assert len(found.ties) == len(remaining.ties) > 0
    named = read(path, user="user", item="item", time="time")
    assert named.n_users == remaining.n_users - 1
    assert len(named.ties) == len(remaining.ties)
    users = remaining.users.take(remaining.ties[0])
    chosen = tmp_path / "chosen.csv"
    chosen.write_text("source,target\n" + ",".join(users) + "\n")
    for found in (read(tmp_path, ties=chosen), read(path, ties=chosen)):
        assert [found.users.take(pair) for pair in found.ties] == [users]
    to_parquet(Interactions(data.users, data.items, data.indptr, data.indices), path)
    chosen.rename(tmp_path / "ties.txt")
    assert len(read(tmp_path).ties) == 1
    assert read(path).ties is None


def test_reading_a_snapshot_makes_no_object_of_every_interaction(tmp_path):
    users, items = Vocabulary(f"u{k}" for k in range(200)), Vocabulary(f"i{k}" for k in range(300))
    everything = Interactions(users, items, np.arange(201) * 300, np.tile(np.arange(300), 200))
    to_parquet(everything, tmp_path / "x.parquet")
    from_parquet(tmp_path / "x.parquet")  # what is imported at the first time does not count
    tracemalloc.start()
    back = from_parquet(tmp_path / "x.parquet")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert back.digest() == everything.digest()
    assert peak < 48 * len(everything)  # 8 bytes are what is kept of each; a str is 50 by itself


@pytest.mark.parametrize("parts", [("train", "valid", "test"), ("train", "test")])
def test_a_split_of_snapshots_comes_back(parts, data, tmp_path):
    split = ratio(data).without(ForgetSet(users=data.users.take([3])))
    written = dict(zip(("train", "valid", "test"), (split.train, split.validation, split.test), strict=True))
    for name in parts:
        to_parquet(written[name], tmp_path / f"{name}.parquet")
    back = read(tmp_path)
    assert back.test.digest() == split.test.digest()
    assert len(back.train.ties) == len(split.train.ties) > 0
    if "valid" in parts:
        assert (back.train.digest(), back.validation.digest()) == (split.train.digest(), split.validation.digest())
    else:
        assert back.refit().digest() == split.train.digest()
    files = {name: tmp_path / f"{name}.parquet" for name in parts}
    again = read_split(files["train"], files["test"], validation_file=files.get("valid"), unseen="keep")
    assert again.train.digest() == back.train.digest()


def test_snapshots_of_no_common_split_are_read_like_tables(tmp_path):
    ties = pd.DataFrame({"source": ["a"], "target": ["b"]})
    for name, users in {"train": ["a", "b"], "test": ["b", "c"]}.items():
        frame = pd.DataFrame({"user": users, "item": ["x", "y" if name == "train" else "x"]})
        to_parquet(Interactions.from_frame(frame, ties=ties if name == "train" else None), tmp_path / f"{name}.parquet")
    split = read(tmp_path)
    assert split.train.users.take(range(3)) == ["a", "b", "c"]
    assert split.train.ties.tolist() == split.test.ties.tolist() == [[0, 1]]
    to_parquet(split.train, tmp_path / "train.parquet")
    to_parquet(split.train, tmp_path / "test.parquet")
    with pytest.raises(InvalidInteractions, match=r"must not be in train too \(\d bad, row 0"):
        read(tmp_path)


def test_int_ids_weights_and_no_ties(tmp_path):
    frame = pd.DataFrame({"user": [5, 5, 2], "item": ["a", "b", "a"], "w": [1.5, 2, 3]})
    data = Interactions.from_frame(frame, weight="w").without(ForgetSet(users=(2,)))
    to_parquet(data, tmp_path / "x.parquet")
    back = from_parquet(tmp_path / "x.parquet")
    assert back.digest() == data.digest()
    assert back.users.kind == "int"
    assert back.weight.tolist() == [1.5, 2]
    assert back.ties is None


def test_a_rewritten_snapshot_holds_nothing_of_the_forgotten(tmp_path):
    canary = "9f4be0d1c55a4f0e8a1d2b7c6e3f9a10"
    frame = pd.DataFrame({"user": [canary, "b", "c"], "item": ["x", "x", f"i{canary[::-1]}"]})
    ties = pd.DataFrame({"a": [canary, "b"], "b": ["b", "c"]})
    data = Interactions.from_frame(frame, ties=ties)
    path = tmp_path / "x.parquet"
    to_parquet(data, path)
    assert any(canary.encode() in file.read_bytes() for file in tmp_path.iterdir())
    to_parquet(data.without(ForgetSet(users=(canary,), items=(f"i{canary[::-1]}",))), path)
    written = [file.read_bytes() for file in tmp_path.iterdir()]
    assert len(written) == 2
    assert not any(word.encode() in content for content in written for word in (canary, canary[::-1]))
    to_parquet(Interactions(data.users, data.items, data.indptr, data.indices), path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize(("written", "ties"), [("x.parquet", "x.ties.parquet"), ("x.inter", "x.net")])
def test_ties_that_a_killed_writer_began_do_not_outlive_their_data(tmp_path, written, ties):
    durable.unfinished(tmp_path / ties).write_bytes(b"half of them")
    without = Interactions.from_frame(pd.DataFrame({"user": [1], "item": [2]}))
    (to_parquet if written.endswith(".parquet") else to_inter)(without, tmp_path / written)
    assert [file.name for file in tmp_path.iterdir()] == [written]


def test_atomic_files_come_back(data, tmp_path):
    to_inter(data, tmp_path / "x.inter")
    assert (tmp_path / "x.inter").read_text().startswith("user_id:token\titem_id:token\ttimestamp:float\n")
    back = read(tmp_path)
    pd.testing.assert_frame_equal(back.frame(), data.frame())
    assert back.users.take(back.ties[:, 0]) == data.users.take(data.ties[:, 0])
    assert back.users.take(back.ties[:, 1]) == data.users.take(data.ties[:, 1])


@pytest.mark.parametrize("name", ["x.parquet", "x.ties.parquet"])
def test_a_damaged_snapshot_is_named_and_can_be_restored(data, tmp_path, name):
    to_parquet(data, tmp_path / "x.parquet")
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 8 : len(content) // 4] = bytes(len(content) // 4 - len(content) // 8)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=rf"{name}` must be whole Parquet (?s:.*) restore it"):
        from_parquet(tmp_path / "x.parquet")


def test_what_cannot_be_written_is_refused(data, tmp_path):
    odd = Interactions.from_frame(pd.DataFrame({"user": ["a\tb", "ok", 'q"'], "item": [1, 2, 3]}))
    with pytest.raises(InvalidInteractions, match=r"2 are not: 'a\\tb', 'q\"'"):
        to_inter(odd, tmp_path / "x.inter")
    broken = Interactions.from_frame(pd.DataFrame({"user": ["a\nb", "a\rb", "c"], "item": ["x\ny", "x", "z "]}))
    with pytest.raises(InvalidInteractions, match=r"4 are not: 'a\\nb', 'a\\rb', 'x\\ny', 'z '"):
        to_inter(broken, tmp_path / "x.inter")
    assert not (tmp_path / "x.inter").exists()
    with pytest.raises(ValueError, match=r"end in \.inter"):
        to_inter(data, tmp_path / "x.csv")
    with pytest.raises(ValueError, match=r"end in \.parquet"):
        to_parquet(data, tmp_path / "x.csv")
    data.frame().to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InvalidInteractions, match="`to_parquet`"):
        from_parquet(tmp_path / "other.parquet")
    assert not list(tmp_path.glob("x.*"))
