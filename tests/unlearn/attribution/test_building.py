"""Building a gradient store: that it goes on where it died, and for the same records alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from torch import Tensor

from tests.unlearn.attribution.stores import SOURCE, WIDTH, half_built, made, names, vectors
from unlearn import durable
from unlearn.attribution import GradientStore, build
from unlearn.attribution.layout import StoreError


def test_a_build_that_was_killed_before_its_first_manifest_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    durable.unfinished(folder / "manifest.json").write_bytes(b"half a manif")
    assert len(made(folder, vectors(50))) == 50
    assert not durable.unfinished(folder / "manifest.json").exists()


def test_a_killed_build_goes_on_where_it_stopped(tmp_path: Path) -> None:
    x, asked = vectors(300), list[int]()
    half_built(tmp_path / "store", x)
    with pytest.raises(StoreError, match="finished"):
        GradientStore.open(tmp_path / "store")
    with (tmp_path / "store" / "rows.bin").open("ab") as file:
        file.write(b"half a row")  # as a process that died while it wrote leaves it

    def counted(numbers: Tensor) -> Tensor:
        asked.extend(numbers.tolist())
        return x[numbers]

    went_on = build(tmp_path / "store", names(300), counted, width=WIDTH, source=SOURCE, chunk=64)
    assert asked == list(range(128, 300))
    whole = made(tmp_path / "whole", x)
    for part in ("rows.bin", "norms.bin", "digests.bin", "heads.bin", "spans.bin", "basis.f32"):
        assert (tmp_path / "store" / part).read_bytes() == (tmp_path / "whole" / part).read_bytes()
    assert len(went_on) == len(whole) == 300


def test_a_build_does_not_go_on_for_other_records(tmp_path: Path) -> None:
    """Whose rows the first are would not be known: no digest would remove them."""
    x = vectors(300)
    others = [hashlib.sha256(name).digest() for name in names(300)]
    half_built(tmp_path / "store", x)

    def unasked(_: Tensor) -> Tensor:
        raise AssertionError

    for digests in (others, names(300)[::-1], names(300)[:127] + others[127:], names(299)):
        with pytest.raises(StoreError, match="other records"):
            build(tmp_path / "store", digests, unasked, width=WIDTH, source=SOURCE, chunk=64)
    assert len(made(tmp_path / "store", x)) == 300
    with pytest.raises(StoreError, match="holds 2 records"):
        build(tmp_path / "store", names(300)[2:], unasked, width=WIDTH, source=SOURCE)
    made(tmp_path / "store", x).remove(names(2))
    assert len(build(tmp_path / "store", names(300)[2:], unasked, width=WIDTH, source=SOURCE)) == 298
