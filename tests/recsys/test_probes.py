"""What the directions leave out, against an explicit gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.models.base import LinearRecommender
from recsys.probes import Probes
from recsys.signs import signs
from tests.recsys.trained import trained


def test_what_the_directions_leave_out_is_what_a_preconditioned_step_outside_of_them_would_gain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recsys.probes._PROBES", 400)  # so many that chance has little part in it
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
    remembers = replace(known, final=known.final.index_fill(0, idle, 1.0))

    gradient = remaining.value_and_gradient(now)[1]["table"] @ known.axes
    gradient -= gradient @ basis @ basis.T
    gains = (gradient[:n] @ known.inverse_users * gradient[:n]).sum()
    gains += (gradient[n:] @ known.inverse_items * gradient[n:]).sum()
    probes = Probes.of(basis, remembers)
    found = probes.gain(
        loss,
        table @ known.axes @ probes.columns,
        known.final @ probes.columns,
        loss.model.propagate(loss.graph, shift),
        remaining.graph.edge_products(users, items),
    )
    assert found == pytest.approx(0.5 * float(gains), rel=0.1)
