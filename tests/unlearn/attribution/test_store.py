"""The gradient store: what it finds, that it goes on, and that what is removed is gone byte by byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.unlearn.attribution.stores import SOURCE, WIDTH, made, names, vectors
from unlearn import durable
from unlearn.attribution import GradientStore, build, layout
from unlearn.attribution.layout import StoreError
from unlearn.attribution.sketch import principal_basis
from unlearn.attribution.store import Similarity


def best(x: Tensor, queries: Tensor, k: int, similarity: Similarity) -> list[list[int]]:
    unit = x / x.norm(dim=1, keepdim=True) if similarity == "cosine" else x
    return (queries @ unit.T).topk(k, 1).indices.tolist()


def records(store: GradientStore, rows: Tensor, n: int) -> list[list[int]]:
    """Records of rows, by their digests."""
    number = {name: k for k, name in enumerate(names(n))}
    return [[number[store.digests[row].tobytes()] for row in line] for line in rows.tolist()]


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("way", ["top", "all_pairs"])
def test_the_best_rows_are_found(tmp_path: Path, way: str, similarity: Similarity) -> None:
    x = vectors(700)
    queries = x[:5] + 0.3 * vectors(5, seed=1)
    store = made(tmp_path / "store", x)
    found = getattr(store, way)(queries, 7, similarity=similarity)
    expected = best(x, queries, 7, similarity)
    hits = [len(set(a) & set(b)) for a, b in zip(records(store, found.rows, 700), expected, strict=True)]
    assert sum(hits) >= 34  # half precision may swap the last place
    assert bool(found.exact.all())
    weights = x.norm(dim=1) if similarity == "dot" else torch.ones(700)
    unit = x / x.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found.scores[0], (unit @ queries[0] * weights)[found.rows[0]], rtol=2e-3, atol=2e-3)
    assert bool((found.scores.diff(dim=1) <= 0).all())
    assert [row[0] for row in best(x, queries, 7, "cosine")] != [row[0] for row in best(x, queries, 7, "dot")]


def test_the_first_stage_rules_rows_out_and_never_a_best_one(tmp_path: Path) -> None:
    x = vectors(3000, decay=0.8)
    store = made(tmp_path / "store", x)
    queries = vectors(20, decay=0.8, seed=3)
    found, truth = store.top(queries, 5), store.all_pairs(queries, 5)
    torch.testing.assert_close(found.scores, truth.scores, rtol=1e-5, atol=1e-5)
    assert float(found.candidates.float().mean()) < 600
    flat = made(tmp_path / "flat", torch.randn(3000, WIDTH, generator=torch.Generator().manual_seed(0)))
    assert bool(flat.top(queries, 5).exact.all())


def test_the_bound_holds_for_queries_that_lie_between_their_integers(tmp_path: Path) -> None:
    """Rows that bytes hold nearly without loss: what is left is that a query's coordinates are rounded as well."""
    axes = torch.eye(WIDTH)[:4]
    plus, minus = (axes[1] + axes[2]) / 2**0.5, (axes[1] - axes[2]) / 2**0.5
    x = torch.stack([axes[0]] * 9 + [plus] * 6 + [minus] * 6 + [axes[1]] * 2 + [axes[3]] * 7)
    step = 1.0 / 32_000
    query = torch.zeros(1, WIDTH, dtype=torch.float64)
    query[0, 3] = 1.0
    query[0, 0] = 16_001.49 * step  # rounded down, and the two others up: `plus` seems nearer than the first row
    query[0, 1:3] = 11_315.51 * step
    assert query[0] @ axes[0].double() > query[0] @ plus.half().double() + 0.3 * step
    store = made(tmp_path / "store", x)
    found = store.top(query.float(), 13)
    assert bool(found.exact.all())
    torch.testing.assert_close(found.scores, store.all_pairs(query.float(), 13).scores, rtol=1e-7, atol=1e-7)


def test_the_bound_holds_for_rows_that_only_rounding_takes_out_of_the_span() -> None:
    """Against the query that sees nothing else of a row."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((500, 6)) @ generator.standard_normal((6, WIDTH))
    rows = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)
    basis = principal_basis(rows[:100], 32)
    (heads, spans), vectors_ = basis.quantised(rows), basis.vectors.astype(np.float64)
    step, inside, outside = spans.astype(np.float64).T
    wide = rows.astype(np.float64)
    left = wide - wide @ vectors_.T @ vectors_
    queries = left / np.linalg.norm(left, axis=1, keepdims=True)
    head = queries @ vectors_.T
    off = np.abs((queries * wide).sum(1) - step * (head * heads).sum(1))
    assert float(off.min()) > 5e-5
    beyond = np.linalg.norm(queries - head @ vectors_, axis=1)
    assert bool((off <= beyond * outside + np.linalg.norm(head, axis=1) * inside).all())


def test_a_budget_that_is_too_small_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_HEAD", 4)
    x = vectors(1000, decay=1.0)
    store = made(tmp_path / "store", x)
    found = store.top(x[:8], 3, budget=20)
    assert found.exact.tolist() == [False] * 8
    assert found.candidates.tolist() == [20] * 8
    assert bool(store.top(x[:8], 3, budget=1000).exact.all())


@pytest.mark.parametrize(("n", "k", "budget"), [(3000, 10, 5), (70_000, 20, 20), (70_000, 100, 10), (40, 40, 1)])
def test_however_small_the_budget_all_k_are_found_and_of_the_best(tmp_path: Path, n: int, k: int, budget: int) -> None:
    x = torch.randn(n, 16, generator=torch.Generator().manual_seed(0))
    store = build(tmp_path / "store", names(n), lambda records: x[records], width=16, source=SOURCE)
    queries = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))
    found, truth = store.top(queries, k, budget=budget), store.all_pairs(queries, k)
    assert found.rows.shape == (8, k) and not bool(found.exact.any())
    assert [len(set(row)) for row in found.rows.tolist()] == [k] * 8
    assert int(found.candidates.min()) >= k and int(found.candidates.max()) <= max(8 * k, n // 100)
    hits = [len(set(a) & set(b)) for a, b in zip(found.rows.tolist(), truth.rows.tolist(), strict=True)]
    assert sum(hits) >= 0.9 * 8 * k  # the bytes alone order nearly as half precision does


@pytest.mark.parametrize("scale", [1e-30, 1e-24, 1e30])
def test_however_short_a_gradient_is_its_direction_counts(tmp_path: Path, scale: float) -> None:
    """Squares of such numbers are 0 or infinite in single precision."""
    generator = torch.Generator().manual_seed(0)
    x, queries = (torch.randn(n, 300, generator=generator) for n in (500, 20))
    made_ = [
        build(tmp_path / name, names(500), lambda rows, by=by: x[rows] * by, width=300, source=SOURCE)
        for name, by in (("whole", 1.0), ("short", scale))
    ]
    whole, short = (store.all_pairs(queries, 5) for store in made_)
    assert torch.equal(whole.rows, short.rows)
    torch.testing.assert_close(short.scores, whole.scores, rtol=1e-3, atol=0.0)
    np.testing.assert_allclose(made_[1].norms, x.norm(dim=1).numpy() * scale, rtol=1e-5)
    found = made_[0].top(queries * scale, 5)
    assert bool(found.exact.all()) and torch.equal(found.rows, whole.rows)
    torch.testing.assert_close(found.scores, whole.scores * scale, rtol=1e-5, atol=0.0)


def contents(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def traces(x: Tensor, gone: list[int]) -> list[bytes]:
    """What a record could be told by: its row, its norm and its digest."""
    lengths = x.norm(dim=1, dtype=torch.float64)
    rows = [(x[k] / lengths[k]).half().numpy().tobytes() for k in gone]
    return (
        rows
        + [row[: WIDTH // 2] for row in rows]
        + [names(len(x))[k] for k in gone]
        + [lengths[k].float().numpy().tobytes() for k in gone]
    )


@pytest.mark.parametrize("gone", [[0], [299], [5, 120, 298, 299], list(range(0, 300, 2))])
def test_nothing_of_a_removed_record_is_left(tmp_path: Path, gone: list[int]) -> None:
    x = vectors(300)
    store = made(tmp_path / "store", x)
    heads = [store.heads[k].tobytes() for k in gone]
    held = contents(tmp_path / "store")
    assert all(trace in held for trace in [*traces(x, gone), *heads])
    after, count = store.remove([names(300)[k] for k in gone] + [b"\0" * 32])
    assert (count, len(after)) == (len(gone), 300 - len(gone))
    held = contents(tmp_path / "store")
    assert not any(trace in held for trace in [*traces(x, gone), *heads])
    again, none = after.remove([names(300)[k] for k in gone])
    assert (none, contents(tmp_path / "store")) == (0, held)
    # The others answer as before.
    kept = [k for k in range(300) if k not in gone]
    found = records(again, again.top(x[kept[:9]], 1).rows, 300)
    assert found == [[k] for k in kept[:9]]


def test_a_removal_counts_on_what_others_removed_meanwhile(tmp_path: Path) -> None:
    x = vectors(300)
    one = made(tmp_path / "store", x)
    other = GradientStore.open(tmp_path / "store")
    one.remove([names(300)[k] for k in (3, 299)])
    after, count = other.remove([names(300)[k] for k in (50, 298, 299)])
    assert (count, len(after)) == (2, 296)
    held = contents(tmp_path / "store")
    assert not any(trace in held for trace in traces(x, [3, 50, 298, 299]))
    kept = [0, 49, 51, 297]
    assert records(after, after.top(x[kept], 1).rows, 300) == [[k] for k in kept]


def test_all_may_leave(tmp_path: Path) -> None:
    store = made(tmp_path / "store", vectors(70))
    after, count = store.remove(names(70))
    assert (count, len(after)) == (70, 0)
    assert after.top(vectors(2), 3).rows.shape == after.all_pairs(vectors(2), 3).rows.shape == (2, 0)


@pytest.mark.parametrize("after_files", range(5))
def test_a_removal_that_was_cut_short_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after_files: int
) -> None:
    x, gone = vectors(300), [3, 50, 297]
    reference, _ = made(tmp_path / "reference", x).remove([names(300)[k] for k in gone])
    store = made(tmp_path / "store", x)
    cut, calls = layout.Part.cut, list[str]()

    def dying(self: Any, folder: Path, n: int) -> None:
        if len(calls) == after_files:
            raise KeyboardInterrupt
        calls.append(self.name)
        cut(self, folder, n)

    with monkeypatch.context() as patch:
        patch.setattr(layout.Part, "cut", dying)
        with pytest.raises(KeyboardInterrupt):
            store.remove([names(300)[k] for k in gone])
    completed = GradientStore.open(tmp_path / "store")
    assert len(completed) == len(reference) == 297
    assert contents(tmp_path / "store") == contents(tmp_path / "reference")


def test_a_removal_that_was_cut_short_in_its_new_basis_is_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sample had a row twice, so that what fills its place adds a direction to the basis and to all heads."""
    monkeypatch.setattr(layout, "SAMPLE", 4)
    x = vectors(300)
    lowest = sorted(range(300), key=lambda k: names(300)[k])
    x[lowest[0]] = x[lowest[1]]
    gone = [names(300)[k] for k in [lowest[0], *lowest[10:]]]
    for name in ("reference", "store"):
        made(tmp_path / name, x)
    reference, _ = GradientStore.open(tmp_path / "reference").remove(gone)
    assert len(reference.basis.vectors) == 4
    store = GradientStore.open(tmp_path / "store")
    assert len(store.basis.vectors) == 3

    def dying(self: Path, content: bytes) -> None:
        with self.open("wb"):
            raise KeyboardInterrupt

    replace = durable.replace

    def dying_too(path: Path, content: bytes, *, mode: int = 0o600) -> None:
        if path.name == layout.BASIS:
            raise KeyboardInterrupt
        replace(path, content, mode=mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", dying)
        patch.setattr(durable, "replace", dying_too)
        with pytest.raises(KeyboardInterrupt):
            store.remove(gone)
    assert len(GradientStore.open(tmp_path / "store")) == len(reference) == 9
    assert contents(tmp_path / "store") == contents(tmp_path / "reference")


def test_the_basis_forgets_with_its_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "SAMPLE", 100)
    x = vectors(400)
    order = sorted(range(400), key=lambda k: names(400)[k])
    inside, outside = order[10], order[300]
    store = made(tmp_path / "store", x)
    before = store.basis.vectors.copy()
    store, _ = store.remove([names(400)[outside]])
    assert np.array_equal(store.basis.vectors, before)
    store, _ = store.remove([names(400)[inside]])
    assert not np.array_equal(store.basis.vectors, before)
    left = [k for k in range(400) if k not in (inside, outside)]
    fresh = build(
        tmp_path / "fresh",
        [names(400)[k] for k in left],
        lambda rows: x[torch.tensor(left)[rows]],
        width=WIDTH,
        source=SOURCE,
    )
    np.testing.assert_allclose(np.abs((store.basis.vectors * fresh.basis.vectors).sum(1)), 1.0, atol=1e-5)


def test_a_store_of_something_else_is_refused(tmp_path: Path) -> None:
    x = vectors(50)
    made(tmp_path / "store", x)

    def serve(rows: Tensor) -> Tensor:
        return x[rows]

    with pytest.raises(StoreError, match="source"):
        build(tmp_path / "store", names(50), serve, width=WIDTH, source={"model": "other"})
    with pytest.raises(ValueError, match="32 bytes each and unique"):
        build(tmp_path / "other", [b"short", b"short"], serve, width=WIDTH, source=SOURCE)
    with pytest.raises(ValueError, match="finite"):
        build(tmp_path / "nan", names(50), lambda rows: x[rows] * torch.nan, width=WIDTH, source=SOURCE)
    for wrong in (lambda rows: x[rows][:, 1:], lambda rows: x[rows[:1]]):
        with pytest.raises(ValueError, match=rf"`features` must return shape \[50, {WIDTH}\]"):
            build(tmp_path / "narrow", names(50), wrong, width=WIDTH, source=SOURCE)
    with pytest.raises(ValueError, match="32 bytes each"):
        GradientStore.open(tmp_path / "store").remove([names(50)[0].hex().encode()])
    with pytest.raises(ValueError, match="must be finite"):
        GradientStore.open(tmp_path / "store").top(torch.full((1, WIDTH), torch.nan), 3)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "mine.txt").write_text("mine")
    with pytest.raises(StoreError, match="new, empty"):
        build(tmp_path / "papers", names(50), serve, width=WIDTH, source=SOURCE)
    with pytest.raises(ValueError, match="(?s)`queries`.*`k`"):
        GradientStore.open(tmp_path / "store").top(torch.zeros(2, 3), 0)
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_text())
    assert manifest["source"] == SOURCE
