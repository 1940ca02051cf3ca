"""Every tolerance of the tests, named and with its reason."""

from __future__ import annotations

EXACT64: dict[str, float] = {"rtol": 1e-9, "atol": 1e-11}
"""The same formula twice in float64, in another order of summation."""

CONVERGED64: dict[str, float] = {"rtol": 1e-8, "atol": 1e-8}
"""A solution found by iteration in float64 against its closed form."""

FINITE_DIFFERENCE64: dict[str, float] = {"rtol": 1e-5, "atol": 1e-6}
"""Central differences in float64 with steps around 1e-6."""
