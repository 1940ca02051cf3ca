from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recsys.data import Interactions, Vocabulary
from recsys.errors import InvalidInteractions


def frame(**columns):
    return pd.DataFrame(columns)


def test_ids_get_rows_in_ascending_order():
    data = Interactions.from_frame(frame(user=[10, 9, 100], item=["b", "a", "B"]))
    assert data.users.take(range(3)) == [9, 10, 100]
    assert data.items.take(range(3)) == ["B", "a", "b"]
    assert data.frame().to_dict("list") == {"user": [9, 10, 100], "item": ["a", "b", "B"]}


def test_row_order_of_the_input_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    keys = rng.choice(300, 90, replace=False)
    table = frame(user=[f"u{k}" for k in keys // 15], item=keys % 15, weight=rng.random(90), time=rng.random(90))
    shuffled = table.sample(frac=1, random_state=1)
    one, other = (Interactions.from_frame(f, weight="weight", time="time") for f in (table, shuffled))
    assert one.digest() == other.digest()
    assert (one.frame().sort_values(["user", "item"]).time.to_numpy()).tolist() == (
        table.sort_values(["user", "item"]).time.tolist()
    )


@pytest.mark.parametrize(
    ("policy", "weights", "times"),
    [("first", [1, 2], [30, 5]), ("last", [8, 2], [20, 5]), ("sum", [13, 2], [20, 5])],
)
def test_duplicates_by_policy(policy, weights, times):
    table = frame(user=["a", "b", "a", "a"], item=[1, 1, 1, 1], w=[1, 2, 4, 8], t=[30, 5, 10, 20])
    data = Interactions.from_frame(table, weight="w", time="t", duplicates=policy)
    assert data.weight.tolist() == weights
    assert data.time.tolist() == times


def test_sum_counts_rows_where_there_is_no_weight():
    data = Interactions.from_frame(frame(user=["a", "b", "a"], item=[1, 1, 1]), duplicates="sum")
    assert data.weight.tolist() == [2, 1]


def test_users_of_ties_are_users():
    data = Interactions.from_frame(frame(user=["b"], item=[1]), ties=frame(x=["c", "a"], y=["b", "c"]))
    assert data.users.take(range(3)) == ["a", "b", "c"]
    assert data.ties.tolist() == [[0, 2], [2, 1]]
    assert data.degrees()[0].tolist() == [0, 1, 0]


def test_every_problem_at_once_with_rows_and_remedies():
    table = frame(
        user=[1, -2, np.nan, 4, 5, 5, 1.5, 7],
        item=["a", "b", "c", "", None, "x", "y", 3],
        w=[1, 2, 3, np.inf, 5, 6, 7, 8],
        t=["1", "x", "2", "3", "4", "5", "6", "7"],
    )
    table = pd.concat([table, table.iloc[[0]]], ignore_index=True)
    ties = frame(a=[1, 5, 1, 9], b=[5, 5, 5, -1])
    with pytest.raises(InvalidInteractions) as caught:
        Interactions.from_frame(table, weight="w", time="t", ties=ties)
    problems = caught.value.problems
    assert len(problems) == 9
    expected = [
        ("`user` must hold whole numbers", "1 bad, row 6"),
        ("`user` must not be missing", "1 bad, row 2"),
        ("`user` must not be negative", "1 bad, row 1"),
        ("`item` must hold whole numbers, or strings", "1 bad, row 7"),
        ("`item` must not be missing", "2 bad, row 3, 4"),
        ("`weight` must hold finite numbers", "1 bad, row 3"),
        ("`time` must hold finite numbers", "1 bad, row 1"),
        ("`ties, second column` must not be negative", "1 bad, row 3"),
        ("a user and item must occur together only once", "1 bad, row 8"),
    ]
    for problem, (required, where) in zip(problems, expected, strict=True):
        assert problem.startswith(required)
        assert where in problem
        assert ";" in problem  # the remedy
        assert problem in str(caught.value)


def test_rows_without_an_id_are_no_pair_that_occurs_again():
    for table in (frame(user=[None, None, 1.0], item=[5, 5, 5]), frame(user=[1, 1, 1], item=[None, None, "x"])):
        with pytest.raises(InvalidInteractions) as caught:
            Interactions.from_frame(table)
        assert [problem.partition(" (2 bad, row 0, 1)")[1] for problem in caught.value.problems] == [
            " (2 bad, row 0, 1)"
        ]


def test_only_the_first_five_rows_are_named():
    with pytest.raises(InvalidInteractions, match=r"7 bad, row 0, 1, 2, 3, 4, \.\.\.\)"):
        Interactions.from_frame(frame(user=[None] * 7 + [1], item=range(8)))


def test_ties_are_checked():
    table = frame(user=["a", "b"], item=[1, 1])
    ties = frame(x=["a", "a", "a"], y=["b", "a", "b"])
    with pytest.raises(InvalidInteractions) as caught:
        Interactions.from_frame(table, ties=ties)
    assert "two different users (1 bad, row 1)" in caught.value.problems[0]
    assert "only once (1 bad, row 2)" in caught.value.problems[1]
    kept = Interactions.from_frame(table, ties=ties.drop(index=1), duplicates="first")
    assert kept.ties.tolist() == [[0, 1]]
    with pytest.raises(InvalidInteractions, match="two columns"):
        Interactions.from_frame(table, ties=frame(x=["a"]))
    with pytest.raises(InvalidInteractions, match="all int or all str"):
        Interactions.from_frame(table, ties=frame(x=[1], y=[2]))


def test_given_vocabularies_are_kept_and_must_hold_the_ids():
    users, items = Vocabulary(["z", "a"]), Vocabulary([5])
    data = Interactions.from_frame(frame(user=["a"], item=[5]), users=users, items=items)
    assert data.users is users
    assert data.indptr.tolist() == [0, 0, 1]
    with pytest.raises(InvalidInteractions) as caught:
        Interactions.from_frame(frame(user=["a", "q"], item=[6, 5]), users=users, items=items)
    assert ["row 1" in caught.value.problems[0], "row 0" in caught.value.problems[1]] == [True, True]


def test_ties_of_people_unknown_are_told_to_be_that_and_no_more():
    ties = frame(x=["q", "q"], y=["r", "r"])
    with pytest.raises(InvalidInteractions) as caught:
        Interactions.from_frame(frame(user=["a"], item=[1]), ties=ties, users=Vocabulary(["a"]))
    places = [problem.partition(" must be in the given vocabulary (2 bad")[0] for problem in caught.value.problems]
    assert places == ["`ties, first column`", "`ties, second column`"]


def test_missing_columns_and_no_rows():
    with pytest.raises(InvalidInteractions, match=r"`item`, `w` must exist \(got `user`, `product`\)"):
        Interactions.from_frame(frame(user=[1], product=[2]), weight="w")
    with pytest.raises(InvalidInteractions, match="at least one interaction"):
        Interactions.from_frame(frame(user=[], item=[]))
    twice = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    with pytest.raises(InvalidInteractions, match="different names"):
        Interactions.from_frame(twice)


@pytest.mark.parametrize("id", [2**53, 2**53 + 1, 2**62 + 1])
def test_a_float_that_stands_for_several_ids_is_none(id):
    assert Interactions.from_frame(frame(user=[float(2**53 - 1)], item=[1])).users.take([0]) == [2**53 - 1]
    for user in (frame(user=[id, None]).dropna().user, pd.array([float(id)], dtype="Float64")):
        with pytest.raises(InvalidInteractions, match=r"`user` must hold whole numbers.*1 bad, row 0.*below 2\*\*53"):
            Interactions.from_frame(frame(user=user, item=[1]))
    for kind in ("int64", "uint64", "Int64", "UInt64", "int64[pyarrow]", "uint64[pyarrow]"):
        data = Interactions.from_frame(frame(user=pd.array([id], dtype=kind), item=[1]))
        assert data.users.take([0]) == [id]


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("float16", 2**11),
        ("float32", 2**24),
        ("Float32", 2**24),
        ("float[pyarrow]", 2**24),
        ("halffloat[pyarrow]", 2048),
    ],
)
def test_so_is_one_of_less_precision(kind, first):
    below, at, next_ = pd.array([first - 1, first, first + 1], dtype="float64").astype(kind)
    assert at == next_  # two people of whom the column makes one
    assert Interactions.from_frame(frame(user=pd.array([below], dtype=kind), item=[1])).users.take([0]) == [first - 1]
    with pytest.raises(InvalidInteractions, match=r"`user` must hold whole numbers.*1 bad, row 1"):
        Interactions.from_frame(frame(user=pd.array([below, at, None], dtype=kind), item=[1, 1, 1]))


@pytest.mark.parametrize("kind", ["Sparse[float64]", "Sparse[int64]", "category"])
def test_ids_may_be_stored_otherwise(kind):
    data = Interactions.from_frame(frame(user=pd.Series([7.0, 0.0, 7.0]).astype(kind), item=[1, 2, 3]))
    assert data.users.take([0, 1]) == [0, 7]


@pytest.mark.parametrize("kind", ["timestamp[ns][pyarrow]", "timestamp[us][pyarrow]", "datetime64[s]", "object", "str"])
def test_dates_of_every_kind_are_seconds(kind):
    written = ["2020-01-01", "2020-01-01T00:00:00.25"]
    dates = [pd.Timestamp(one).to_pydatetime() for one in written]
    column = pd.Series(written if kind == "str" else dates, dtype=kind)
    data = Interactions.from_frame(frame(user=[1, 2], item=[1, 1], t=column), time="t")
    assert data.time.tolist() == [1_577_836_800, 1_577_836_800 + (0 if kind == "datetime64[s]" else 0.25)]


@pytest.mark.parametrize("kind", ["datetime64[us]", "timestamp[us][pyarrow]", "object", "str"])
def test_a_date_may_be_far_away(kind):
    """A year that 64 bits of nanoseconds do not hold, as those that stand for never."""
    written = "9999-12-31"
    column = pd.Series([written if kind == "str" else pd.Timestamp(written).to_pydatetime()], dtype=kind)
    data = Interactions.from_frame(frame(user=[1], item=[1], t=column), time="t")
    assert data.time.tolist() == [253_402_214_400]


def test_a_period_begins_at_its_date_and_a_duration_is_no_time():
    days = pd.period_range("2020-01-01", periods=2, freq="D")
    data = Interactions.from_frame(frame(user=[1, 2], item=[1, 1], t=days), time="t")
    assert data.time.tolist() == [1_577_836_800, 1_577_836_800 + 86_400]
    for part in ("time", "weight"):
        for column in (pd.to_timedelta([1, 2], unit="s"), np.array([1j, 2])):
            with pytest.raises(InvalidInteractions, match=rf"`{part}` must hold finite numbers.*2 bad, row 0, 1"):
                Interactions.from_frame(frame(user=[1, 2], item=[1, 1], x=column), **{part: "x"})


def test_kinds_of_columns():
    nullable = pd.array([1, 2], dtype="Int64")
    category = pd.Categorical(["x", "y"])
    data = Interactions.from_frame(frame(user=nullable, item=category))
    assert data.users.kind == "int"
    assert data.items.take([0, 1]) == ["x", "y"]
    codes = pd.Categorical([7, 9, 7])
    assert Interactions.from_frame(frame(user=codes, item=[1, 2, 3])).users.take([0, 1]) == [7, 9]
    for absent in (pd.Categorical([7, None]), pd.Categorical(["x", None])):
        with pytest.raises(InvalidInteractions, match=r"`user` must not be missing \(1 bad, row 1\)"):
            Interactions.from_frame(frame(user=absent, item=[1, 2]))
    assert Interactions.from_frame(frame(user=[1.0, 2.0], item=[1, 2])).users.take([1]) == [2]
    with pytest.raises(InvalidInteractions, match="booleans"):
        Interactions.from_frame(frame(user=[True, False], item=[1, 2]))
    dated = frame(user=[1], item=[1], t=pd.to_datetime(["2020-01-01"]))
    assert Interactions.from_frame(dated, time="t").time.tolist() == [1_577_836_800]
    with pytest.raises(InvalidInteractions, match="dates"):
        Interactions.from_frame(dated, weight="t")
    with pytest.raises(InvalidInteractions, match="whole numbers"):
        Interactions.from_frame(frame(user=np.array([2**70, 1], dtype=object), item=[1, 2]))
    with pytest.raises(InvalidInteractions, match="`duplicates` must be"):
        Interactions.from_frame(frame(user=[1], item=[1]), duplicates="drop")


def test_the_frame_is_not_changed():
    table = frame(user=["b", "a"], item=[2, 1])
    before = table.copy(deep=True)
    Interactions.from_frame(table)
    pd.testing.assert_frame_equal(table, before)
