"""What is read from the stream after it ran: its ledger, the log of recommendations, and the model that serves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from common import spread

from recsys.data import Split
from unlearn.target import Subject, interaction

PERSON = "controller_customer_id"


@dataclass(frozen=True)
class Erasure:
    """What a request asks for."""

    user: str
    item: str | None  # None: all of the user

    @property
    def subject(self) -> Subject:
        person = Subject(PERSON, self.user)
        return person if self.item is None else interaction(person, self.item)


def figures(
    wanted: Sequence[Erasure], answers: list[dict[str, Any]], traffic: list[Any], config: Path
) -> dict[str, Any]:
    from sqlalchemy import select

    from unlearn.requests import audit
    from unlearn.requests.service import Service
    from unlearn.requests.settings import Settings
    from unlearn.requests.states import RequestState
    from unlearn.requests.tables import Request, StepRecord

    service = Service.open(Settings.read(config))
    with service.ledger.database.read() as session:
        requests = session.scalars(select(Request)).all()
        steps = session.scalars(select(StepRecord).order_by(StepRecord.id)).all()
        whole = audit.first_break(session, service.ledger) is None
    service.close()
    waits = [(row.closed_at - row.received_at).total_seconds() for row in requests if row.closed_at is not None]
    log = [
        {
            "batch": row.batch_id,
            "step": row.step,
            "outcome": row.outcome,
            "seconds": seconds(row.started_at, row.ended_at),
        }
        for row in steps
    ]
    batches = {row.batch_id: [one for one in steps if one.batch_id == row.batch_id] for row in steps}
    took = {id: seconds(rows[0].started_at, rows[-1].ended_at) for id, rows in batches.items()}
    retrained = {id for id, rows in batches.items() if any(row.step == "retrain" for row in rows)}
    kinds = {"unlearned": [took[id] for id in took if id not in retrained], "retrained": [took[id] for id in retrained]}
    leaks = leaked(wanted, answers, traffic)
    return {
        "batches": {
            "number": len(took),
            "failed_verification": sum(row.outcome == "failed" for row in steps),
            "seconds": {name: spread(values) for name, values in kinds.items() if values},
        },
        "requests": {
            "number": len(requests),
            "accepted": sum(one["status"] == 201 for one in answers),
            "completed": sum(row.state == RequestState.COMPLETED for row in requests),
            "accept_ms": spread([1e3 * (one["ended"] - one["began"]) for one in answers]),
            "worker_seconds_each": sum(took.values()) / max(1, len(requests)),
            "seconds_to_completion": spread(waits),
        },
        "audit_chain_holds": whole,
        "leaks": leaks | {"recommendations": len(traffic)},
        "step_log": log,
    }


def leaked(wanted: Sequence[Erasure], answers: list[dict[str, Any]], traffic: list[Any]) -> dict[str, int]:
    """Recommendations asked for after the 201, to an erased user or of an erased interaction's item to its user."""
    users: dict[str, float] = {}
    pairs: dict[str, dict[str, float]] = {}
    for one, answer in zip(wanted, answers, strict=True):
        if one.item is None:
            users[one.user] = answer["ended"]
        else:
            pairs.setdefault(one.user, {})[one.item] = answer["ended"]
    to_users = asked_after = of_items = 0
    for asked, _, user, items in traffic:
        if asked > users.get(user, np.inf):
            asked_after += 1
            to_users += items is not None
        of_items += sum(asked > moment and item in (items or ()) for item, moment in pairs.get(user, {}).items())
    return {"to_erased_users": to_users, "of_erased_interactions": of_items, "asked_for_erased_users": asked_after}


def quality(folder: Path, split: Split) -> dict[str, float]:
    """Recall and NDCG of the published model, on the held-out interactions of the users that it knows."""
    from recsys import workspace

    return measured(workspace.load(folder), split)


def measured(model: Any, split: Split) -> dict[str, float]:
    from recsys.evaluate import evaluate_scores
    from recsys.plugin.stored import Stored
    from unlearn.forget import ForgetSet

    data, test = model.data, split.test
    gone = [user for user in test.users.ids.tolist() if user not in data.users]
    test = test.without(ForgetSet(users=tuple(gone)))
    held_out = Stored(test, test.frame()[:0]).over(data.users, data.items).data
    found = evaluate_scores(model.scores, train=data, test=held_out).summary()
    return {name: found[name] for name in ("recall_at_20", "ndcg_at_20")}


def compared(before: dict[str, float], folder: Path, split: Split) -> dict[str, Any]:
    """Beside a model of the same recipe trained from the beginning."""
    from recsys import store, workspace

    served = workspace.load(folder)
    began = time.perf_counter()
    retrained = store.untrained(workspace.model_folder(folder), served.data).fit()
    retrain_seconds = time.perf_counter() - began
    found, reference = measured(served, split), measured(retrained, split)
    relative = {name: found[name] / reference[name] - 1 if reference[name] else 0.0 for name in found}
    return {
        "before": before,
        "served": found,
        "retrained": reference,
        "relative": relative,
        "retrain_seconds": retrain_seconds,
        "users": int(served.data.users.alive.sum()),
        "interactions": len(served.data),
    }


def ranked(folder: Path, wanted: Sequence[Erasure]) -> int:
    """How many of the erased interactions the model alone would recommend: as an exact retrain would, too."""
    from recsys import workspace

    model = workspace.load(folder)
    pairs = [(model.data.users.parse([one.user])[0], one.item) for one in wanted if one.item is not None]
    found = model.ranker().recommend([user for user, _ in pairs], k=10, exclude=model.data)
    return sum(item in map(str, ids) for (_, item), ids in zip(pairs, found.ids.tolist(), strict=True))


def seconds(started: datetime, ended: datetime) -> float:
    return (ended - started).total_seconds()
