"""What the directions leave out, against an explicit gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.linear.probes import Probes
from recsys.linear.signs import signs
from recsys.models.base import LinearRecommender
from tests.recsys.trained import trained


def test_probes_see_the_gradient_outside_of_the_basis() -> None:
    remaining = trained().problem.without(trained().user)
    loss, idle, n = remaining.loss, remaining.loss.idle_nodes, remaining.data.n_users
    assert isinstance(loss.model, LinearRecommender) and len(idle)
    table = remaining.params["table"].index_fill(0, idle, 0.0)
    known = remaining.with_params({"table": table}).survey()
    assert known is not None
    basis = torch.linalg.qr(signs(known.axes.shape[1], 10, like=table)).Q
    # Where things stand now: the table has moved along the basis, and the survey remembers more than there is.
    shift = 0.1 * torch.randn(len(table), 10, generator=torch.Generator().manual_seed(1), dtype=table.dtype)
    shift.index_fill_(0, idle, 0.0)
    now = {"table": table + shift @ (known.axes @ basis).T}
    users, items = remaining.with_params(now).readout()
    probes = Probes.of(basis, replace(known, final=known.final.index_fill(0, idle, 1.0)))
    columns = probes.columns
    assert (basis.T @ columns).abs().max() < 1e-9 * columns.abs().max()
    found = probes.gain(
        loss,
        table @ known.axes @ columns,
        known.final @ columns,
        loss.model.propagate(loss.graph, shift),
        remaining.graph.edge_products(users, items),
    )
    seen = remaining.value_and_gradient(now)[1]["table"] @ known.axes @ columns
    of_users, of_items = seen[:n, :4], seen[n:, 4:]
    assert found == pytest.approx(0.5 * float(of_users.square().sum() + of_items.square().sum()) / 4, rel=1e-6)


def test_what_many_probes_see_is_what_a_preconditioned_step_would_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.linear.probes._PROBES", 4000)
    survey = trained().problem.survey()
    assert survey is not None
    thrice = {"inverse_items": 3.0 * survey.inverse_items, "root_items": 3.0**0.5 * survey.root_items}
    known = replace(survey, **thrice)  # the two are much alike here
    basis = torch.linalg.qr(signs(known.axes.shape[1], 10, like=known.axes)).Q
    outside = torch.eye(len(basis), dtype=basis.dtype) - basis @ basis.T
    columns = Probes.of(basis, known).columns
    for drawn, inverse in zip(columns.split(4000, dim=1), (known.inverse_users, known.inverse_items), strict=True):
        expected = outside @ inverse @ outside
        assert (drawn @ drawn.T / 4000 - expected).norm() < 0.2 * expected.norm()
