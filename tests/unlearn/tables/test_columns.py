"""Ids of a column, as text becomes numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from unlearn.tables.columns import whole_or_text


@pytest.mark.parametrize("column", [["7", None, "8"], ["7", "08"], ["7", 8], ["7", "9" * 19], [None, None], []])
def test_ids_that_are_not_all_whole_numbers_in_text_stay_what_they_are(column):
    given = pd.Series(column, dtype=object)
    assert whole_or_text(given) is given
    assert whole_or_text(pd.Series(["7", "0", "-8", "7"], index=[3, 1, 2, 0])).to_dict() == {3: 7, 1: 0, 2: -8, 0: 7}
