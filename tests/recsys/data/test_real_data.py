"""The published data sets, against the counts that their publishers or an independent parse give."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.data import from_parquet, ratio, read, read_features, read_split, temporal_user, to_parquet
from recsys.errors import InvalidInteractions


def test_lastfm_split(data_dir):
    split = read(data_dir / "lastfm")
    train = split.refit()
    assert (len(train), len(split.test)) == (42_135, 10_533)
    assert abs(len(split.validation) - 0.1 * len(train)) < 5 * np.sqrt(train.n_users / 12)
    assert (train.n_users, train.n_items) == (1_892, 4_489)
    assert [np.count_nonzero(degrees) for degrees in train.degrees()] == [1_878, 4_476]
    assert [np.count_nonzero(degrees) for degrees in split.test.degrees()] == [1_858, 3_285]
    assert np.count_nonzero(train.degrees()[0] + split.test.degrees()[0]) == 1_880
    assert (train.users.take([0, 1_891]), train.users.kind) == ([1, 1_892], "int")
    assert len(train.ties) == 25_434
    assert set(map(tuple, train.ties.tolist())) == set(map(tuple, train.ties[:, ::-1].tolist()))
    assert np.isfinite(train.weight).all()
    # 1.36e+05 in the file
    written = (data_dir / "lastfm" / "data1.txt").read_text().splitlines()
    scientific = [line.split("\t") for line in written if "e+" in line]
    assert scientific
    for user, item, weight in scientific:
        row = train.frame().query(f"user == {user} and item == {item}")
        assert row.weight.tolist() == [float(weight)]


def test_lastfm_split_can_refuse_unseen_ids(data_dir):
    with pytest.raises(InvalidInteractions, match="every user must occur in train") as caught:
        read_split(data_dir / "lastfm" / "data1.txt", data_dir / "lastfm" / "test1.txt")
    assert "every item must occur in train" in str(caught.value)


def test_lastfm_full(data_dir):
    data = read(data_dir / "lastfm-full")
    assert (data.n_users, data.n_items, len(data), len(data.ties)) == (1_892, 17_632, 92_834, 25_434)
    assert data.users.take([0, 1_891]) == [2, 2_100]
    assert data.items.take([0, 17_631]) == [1, 18_745]


def test_yelp2(data_dir, tmp_path):
    everything = read(data_dir / "yelp2", threshold=None)
    assert (everything.n_users, everything.n_items, len(everything)) == (16_239, 14_284, 198_397)
    assert np.bincount(everything.weight.astype(int)).tolist() == [0, 10_696, 17_715, 35_810, 75_918, 58_258]
    assert len(everything.ties) == 158_590
    assert len(np.unique(everything.ties)) == 10_580
    liked = read(data_dir / "yelp2")
    assert len(liked) == 75_918 + 58_258
    assert liked.weight is None
    to_parquet(everything, tmp_path / "x.parquet")
    assert from_parquet(tmp_path / "x.parquet").digest() == everything.digest()


def test_gowalla_split(data_dir):
    split = read(data_dir / "gowalla")
    train = split.refit()
    assert (train.n_users, train.n_items, len(train), len(split.test)) == (29_858, 40_981, 810_128, 217_242)
    users, _ = train.degrees()
    assert (users.min(), np.median(users), users.max()) == (8, 16, 811)
    assert np.count_nonzero(split.test.degrees()[1]) == 38_546
    assert train.users.take([0, 29_857]) == [0, 29_857]
    first = (data_dir / "gowalla" / "test.txt").read_text().splitlines()[0].split()
    assert split.test.indices[: split.test.indptr[1]].tolist() == sorted(map(int, first[1:]))


def test_movielens_100k(data_dir):
    everything = read(data_dir / "ml-100k", threshold=None)
    assert (everything.n_users, everything.n_items, len(everything)) == (943, 1_682, 100_000)
    assert np.bincount(everything.weight.astype(int)).tolist() == [0, 6_110, 11_370, 27_145, 34_174, 21_201]
    assert (everything.time.min(), everything.time.max()) == (874_724_710, 893_286_638)
    liked = read(data_dir / "ml-100k")
    assert len(liked) == 34_174 + 21_201
    split = temporal_user(liked)
    latest = {user: group.max() for user, group in split.train.frame().groupby("user").time}
    held = split.test.frame()
    assert (held.time >= held.user.map(latest)).all()
    assert len(ratio(liked).validation) > 5_000


def test_movielens_features(data_dir):
    items, users = (read_features(data_dir / "ml-100k" / f"ml-100k.{name}") for name in ("item", "user"))
    assert (len(items), len(users)) == (1_682, 943)
    assert users["gender"].value_counts().to_dict() == {"M": 670, "F": 273}
    assert users["occupation"].nunique() == 21
    assert items["class"].iloc[0] == ["Animation", "Children's", "Comedy"]
