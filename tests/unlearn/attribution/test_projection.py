"""Random projections: inner products in expectation, spread as promised, and the same again."""

from __future__ import annotations

import pytest
import torch

from unlearn.attribution import CountSketch, Dense, Projection

SIZE = 300


def made(kind: str, width: int, seed: int) -> Projection:
    if kind == "count_sketch":
        return CountSketch(SIZE, width, seed)
    return Dense(SIZE, width, seed, kind)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", ["count_sketch", "rademacher", "gaussian"])
def test_inner_products_are_kept_in_expectation_and_spread_by_width(kind: str) -> None:
    generator = torch.Generator().manual_seed(0)
    g, h = torch.randn(2, SIZE, generator=generator, dtype=torch.float64)
    g, h = g / g.norm(), (g + h) / (g + h).norm()
    truth = float(g @ h)
    spread: dict[int, float] = {}
    for width in (16, 128):
        found = [made(kind, width, seed)(torch.stack([g, h])) for seed in range(300)]
        products = torch.tensor([float(p[0] @ p[1]) for p in found])
        assert abs(float(products.mean()) - truth) < 4.0 * float(products.std()) / 300**0.5
        spread[width] = float(products.std())
        assert spread[width] < 1.2 * (2.0 / width) ** 0.5
    assert spread[128] < 0.5 * spread[16]


def test_a_sketch_of_few_entries_is_the_sketch_of_the_vector() -> None:
    sketch = CountSketch(SIZE, 32, 5)
    positions = torch.tensor([[3, 7, 250], [9, 9, 1]])  # an entry that comes twice counts twice
    values = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = torch.zeros(2, SIZE, dtype=torch.float64).scatter_add_(1, positions, values)
    torch.testing.assert_close(sketch.sparse(positions, values), sketch(whole))


def test_every_bucket_sums_as_many_coordinates_and_each_once() -> None:
    signs = CountSketch(SIZE, 64, 1)(torch.eye(SIZE))
    assert set(signs.abs().sum(0).tolist()) == {4.0, 5.0}
    assert signs.abs().sum(1).tolist() == [1.0] * SIZE
    assert 0.35 < float((signs.sum(1) > 0).float().mean()) < 0.65


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_a_dense_matrix_is_the_same_block_by_block(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    g = torch.randn(3, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = made(kind, 32, 3)(g)
    monkeypatch.setattr("unlearn.attribution.projection._BLOCK", 32 * 70)  # the last of five has fewer rows
    torch.testing.assert_close(made(kind, 32, 3)(g), whole)


@pytest.mark.parametrize("kind", ["count_sketch", "rademacher", "gaussian"])
def test_the_same_arguments_are_the_same_projection_and_another_seed_is_not(kind: str) -> None:
    g = torch.randn(2, SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(kind, 32, 3)(g), made(kind, 32, 3)(g))
    assert not torch.allclose(made(kind, 32, 3)(g), made(kind, 32, 4)(g))
    assert made(kind, 32, 3).arguments()["seed"] == 3
    with pytest.raises(ValueError, match="`width`"):
        made(kind, 0, 3)


@pytest.mark.parametrize("kind", ["count_sketch", "rademacher", "gaussian"])
def test_gradients_of_another_model_are_refused(kind: str) -> None:
    for shape in ((2, SIZE + 1), (2, SIZE - 1), (2, 1), (SIZE,)):
        with pytest.raises(ValueError, match=rf"`gradients` must have shape \[r, {SIZE}\]"):
            made(kind, 32, 3)(torch.zeros(shape))


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match='(?s)`size` must.*`width` must.*`kind` must be "rademacher" or "gaussian"'):
        Dense(0, 0, kind="normal")  # pyright: ignore[reportArgumentType]
