"""Given seeds are estimated as precisely as it says, and not much more."""

from __future__ import annotations

import numpy as np
import pytest

from graph_influence.maximize.evaluation import evaluated
from tests.graph_influence.maximize.graphs import social


@pytest.mark.parametrize("rows", [[0], [40], range(10)], ids=str)
def test_sets_are_drawn_until_they_touch_ten_thousand_times(rows):
    found = evaluated(social(), np.array(rows), "ic", 3)
    share, error = found.mean / 300, (found.high - found.low) / (2 * 1.96 * found.mean)
    assert 9_990 < (1 - share) / error**2 < 11_700 and error < 0.01
