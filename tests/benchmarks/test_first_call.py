"""The first call of a process is timed with and without compiled code at hand."""

from __future__ import annotations

from typing import Any


def test_what_is_compiled_once_is_not_compiled_again(run: Any) -> None:
    found = run("first_call")
    assert set(found) == {"benchmark"} | {
        f"{part}_{kind}_{time}_seconds"
        for part in ("select", "all")
        for kind in ("cold", "cached")
        for time in ("cpu", "wall")
    }
    for part in ("select", "all"):
        assert found[f"{part}_cached_cpu_seconds"] < 0.7 * found[f"{part}_cold_cpu_seconds"]
