"""One request through the real worker, over a recommender and a social graph that know the same people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import graph_influence.plugin as spreading
import graph_influence.workspace as networks
import recsys.plugin as recommending
import recsys.workspace as models
from graph_influence.network import Network, Plan
from graph_influence.schemes import weighted_cascade
from graph_influence.standing_surrogate import Lessons
from graph_influence.surrogate import surrogate
from recsys.data import Interactions
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from tests.erasure.canaries import canary_data
from tests.oracles.traces import holders
from tests.social import social_graph
from tests.unlearn.requests.submissions import submission
from unlearn.requests.certificate import certificate, defects, disclosed, public_key
from unlearn.requests.database import Database
from unlearn.requests.intake import Intake
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.queue import Batching
from unlearn.requests.states import RequestState, Step
from unlearn.requests.status import Status, status
from unlearn.requests.steps import Escalation
from unlearn.requests.worker import Worker
from unlearn.target import Batch, Check, Subject, Target, Verdict, Version

CUSTOMER, MEMBER = "controller_customer_id", "android_id"


class House:
    """Both targets over the same people, whom the graph may know by another type of identity."""

    def __init__(self, ledger: Ledger, folder: Path, member: str) -> None:
        self.ledger, self.folder = ledger, folder
        data = canary_data()
        objective = WholeData(a=0.1, l2=1.0)
        models.save(RecommenderProblem.build(data, objective=objective, dim=6, layers=2).fit(), folder / "model")
        graph, learns = weighted_cascade(social_graph(data)), surrogate("gcn", depth=2, width=4)
        lessons = Lessons(sets=5, runs=100, epochs=30)
        network = Network.build(graph, Plan(k=4, share=0.8), surrogate=learns, lessons=lessons)
        networks.save(network, folder / "network")
        pseudonyms = ledger.keyring.pseudonyms
        self.model = recommending.target({"workspace": str(folder / "model")}, pseudonyms)
        self.network = spreading.target({"workspace": str(folder / "network"), "identity_type": member}, pseudonyms)
        self.targets: dict[str, Target] = {"recsys": self.model, "graph_influence": self.network}
        self.people = [str(one) for one in _tied(data)]

    def ask(self, *subjects: Subject) -> str:
        intake = Intake(self.ledger, self.suppress, due_within=timedelta(days=28))
        return intake.submit(submission(subjects=subjects)).subject_request_id

    def suppress(self, subjects: Any) -> None:
        for target in self.targets.values():
            target.suppress(subjects)

    def work(self) -> None:
        never = Escalation(share=2.0, drift=2.0)
        Worker(self.ledger, self.targets, batching=Batching(window=timedelta(0)), escalation=never).run_once()

    def status(self, request: str) -> Status:
        return status(self.ledger, None, request)

    def holding(self, *people: str) -> set[str]:
        """Which of the two halves hold any of these people."""
        return {Path(name).parts[0].partition(".")[0] for name in holders(self.folder, people)}


def _tied(data: Interactions) -> list[Any]:
    """People with ties and interactions."""
    graph = social_graph(data)
    rows = ((graph.in_degree() > 0) & (data.degrees()[0] > 0)).nonzero()[0]
    return data.users.take(rows)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    database, keyring = (
        Database(f"sqlite:///{tmp_path}/ledger/ledger.db"),
        Keyring.create(tmp_path / "keys" / "keyring.json"),
    )
    database.migrate(keyring)
    yield Ledger(database, keyring)
    database.close()


def test_a_request_is_served_by_both_halves(ledger: Ledger, tmp_path: Path) -> None:
    house = House(ledger, tmp_path / "house", CUSTOMER)
    gone, other = house.people[:2]
    recommending_, serving = recommending.Serving(house.model), spreading.Serving(house.network)
    assert recommending_.recommend(gone) is not None and serving.spread([gone]) is not None
    request = house.ask(Subject(CUSTOMER, gone))
    assert recommending_.recommend(gone) is None and serving.spread([gone]) is None  # before anything is removed
    house.work()
    found = house.status(request)
    assert found.state is RequestState.COMPLETED and found.batch is not None
    assert found.targets == {"graph_influence": Step.DONE, "recsys": Step.DONE}
    assert house.holding(gone) == set() and house.holding(other) == {"model", "network"}
    assert serving.spread([other]) is not None and recommending_.recommend(other) is not None
    told = certificate(ledger, found.batch)
    assert told is not None and defects(told, public_key(ledger.keyring)) == [] and told["partial"] == []
    (counts,) = disclosed(told, "counts")
    assert counts["graph_influence"]["removed"]["counts"]["ties"] > 0
    assert counts["recsys"]["removed"]["counts"]["interactions"] > 0
    spread, (figures,) = told["targets"]["graph_influence"], disclosed(told, "figures")
    assert spread["version"]["method"] == "replay+reconverge"
    assert figures["graph_influence"]["facts"]["surrogate_residual_after"] > 0
    checks = {check["name"]: check for check in figures["graph_influence"]["checks"]}
    assert checks["labels_not_simulated"]["value"] == checks["labels_not_simulated"]["high"] == 0
    assert any("surrogate" in part for part in spread["verification"]["not_covered"])


def test_it_is_partial_where_a_half_does_not_know_that_type_of_identity(ledger: Ledger, tmp_path: Path) -> None:
    house = House(ledger, tmp_path / "house", MEMBER)
    gone, both = house.people[:2]
    request = house.ask(Subject(CUSTOMER, gone), Subject(CUSTOMER, both), Subject(MEMBER, both))
    house.work()
    found = house.status(request)
    assert found.batch is not None
    told = certificate(ledger, found.batch)
    assert told is not None
    assert told["partial"] == ["graph_influence", "recsys"]
    (counts,) = disclosed(told, "counts")
    assert {name: one["unknown_types"] for name, one in counts.items()} == {"graph_influence": 2, "recsys": 1}
    assert house.holding(gone) == {"network"} and house.holding(both) == set()


def test_it_stays_open_where_one_half_fails(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(ledger, tmp_path / "house", CUSTOMER)
    gone, passing = house.people[0], house.network.verify
    before = house.network.network().standing.nodes

    def failing(batch: Batch, version: Version) -> Verdict:
        return Verdict((*passing(batch, version).checks, Check(name="never", value=1.0, high=0.0)))

    monkeypatch.setattr(house.network, "verify", failing)
    request = house.ask(Subject(CUSTOMER, gone))
    house.work()
    found = house.status(request)
    assert found.state is RequestState.IN_PROGRESS and found.needs_attention
    assert found.targets == {"graph_influence": Step.ATTENTION, "recsys": Step.DONE}
    assert house.holding(gone) == {"network"} and house.network.network().standing.nodes == before
    assert spreading.Serving(house.network).spread([gone]) is None  # suppressed all the while
    assert found.batch is not None and certificate(ledger, found.batch) is None
