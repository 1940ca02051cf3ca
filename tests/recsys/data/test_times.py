"""Times in files: numbers or dates, in text and in Parquet."""

from __future__ import annotations

import pandas as pd
import pytest

from recsys.data import (
    read,
)
from recsys.errors import InvalidInteractions

TIMES = {
    "dates": (["1970-01-02", "1970-01-03"], [86400, 2 * 86400]),
    "dates and times": (["1970-01-01 00:00:01", "1970-01-01T00:01:00.5"], [1, 60.5]),
    "zones": (["1970-01-01T00:00:01Z", "1970-01-01T01:00:00+01:00"], [1, 0]),
    "dates of different lengths": (["1970-01-02", "1970-01-02 00:00:01Z"], [86400, 86401]),
    "numbers": (["1", "2.5e3"], [1, 2500]),
}


@pytest.mark.parametrize(("written", "seconds"), TIMES.values(), ids=TIMES)
def test_times_may_be_dates(write, written, seconds):
    lines = "".join(f"1,{item},{time}\n" for item, time in enumerate(written))
    assert read(write("x.csv", f"user,item,timestamp\n{lines}")).time.tolist() == seconds


def test_dates_of_a_parquet_file(tmp_path):
    when = pd.Series(pd.to_datetime([86_400, 7_202], unit="s"))
    for column, seconds in (
        (when, [86_400, 7_202]),
        (when.astype("datetime64[ms]").dt.tz_localize("Asia/Tokyo"), [86_400 - 9 * 3600, 7_202 - 9 * 3600]),
        (when.dt.date, [86_400, 0]),
    ):
        pd.DataFrame({"user": [1, 1], "item": [1, 2], "time": column}).to_parquet(tmp_path / "x.parquet")
        assert read(tmp_path / "x.parquet").time.tolist() == seconds


def test_a_date_is_no_rating(tmp_path):
    rated = pd.DataFrame({"user": [1, 1], "item": [1, 2], "rating": pd.to_datetime([5, 6], unit="s")})
    rated.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InvalidInteractions, match=r"`rating` must hold finite numbers \(2 bad, row 0, 1\)"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("times", "line"),
    [("2020-01-01 12:00 soon,2020-01-02", 2), ("1577836800,2020-01-02", 3), ("2020-01-01,", 3), ("inf,5", 2)],
)
def test_times_that_are_neither_numbers_nor_dates(write, times, line):
    lines = "".join(f"1,{item},{time}\n" for item, time in enumerate(times.split(",")))
    said = rf"2024-01-31T18:30:00Z \(1 bad, line {line}\).*leave the column out"
    with pytest.raises(InvalidInteractions, match=said):
        read(write("x.csv", f"user,item,time\n{lines}"))


def test_a_header_alone_has_no_times(write):
    with pytest.raises(InvalidInteractions, match="at least one interaction") as caught:
        read(write("x.csv", "user,item,time\n"))
    assert len(caught.value.problems) == 1
