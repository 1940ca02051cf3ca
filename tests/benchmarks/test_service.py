"""The service's benchmarks count right: what was lost, repeated, leaked or brought back, on few requests and rounds."""

from __future__ import annotations

from typing import Any


def test_service_accounts_for_every_request(run: Any) -> None:
    result = run("service", "--database", "sqlite")
    assert result["accounted"] and result["audit_chain_holds"]
    assert (result["lost"], result["applied_twice"], result["leaked_after_201"]) == (0, 0, 0)
    kinds = [one["kind"] for one in result["accept_log"]]
    assert kinds.count("new") + kinds.count("malformed") == 60 and "duplicate" in kinds
    assert result["recommendations"] > 0 and {row["step"] for row in result["publish_log"]} >= {"remove", "publish"}
    assert all(value >= 0 for value in result["processor_ms_per_request"].values())
    assert result["processor_ms_per_request"]["server"] > 0


def test_chaos_loses_nothing(run: Any) -> None:
    result = run("chaos", "--database", "postgresql")
    assert (result["lost"], result["applied_twice"], result["published_with_erased"]) == (0, 0, 0)
    assert result["chain_valid"] and result["drained"] and result["erased_and_not_suppressed"] == 0
    assert sum(result["kills"].values()) == result["rounds"] == 6
    assert result["requests"] > result["cancelled"] and result["versions_seen"] > 1
    assert result["durability"] == {"fsync": "on", "synchronous_commit": "on"}


def test_chaos_kills_everybody_everywhere(load: Any) -> None:
    chaos = load("chaos")
    planned = chaos.plan(200, seed=0)
    places = {(role, place) for role, place in planned if place != chaos.AT_RANDOM}
    assert places == {("worker", one) for one in chaos.WORKER} | {("server", one) for one in chaos.SERVER}
    at_random = [role for role, place in planned if place == chaos.AT_RANDOM]
    assert 50 <= len(at_random) <= 80 and {*at_random} == {"worker", "server"}


def test_a_version_that_brings_somebody_back_is_counted(load: Any) -> None:
    from types import SimpleNamespace

    from unlearn.requests.states import Outcome, Step

    count = load("chaos_ledger")._published_with_erased

    def step(batch: str, step: Step, digest: str = "") -> Any:
        result = {"version": {"digest": digest}}
        return SimpleNamespace(batch_id=batch, target="recsys", step=step, outcome=Outcome.DONE, result=result)

    people = {"one": {"ada"}, "two": {"bob"}}
    steps = [step("one", Step.UNLEARN, "1"), step("one", Step.PUBLISH), step("two", Step.RETRAIN, "2"),
             step("two", Step.PUBLISH)]  # fmt: skip
    good = {"0": frozenset({"ada", "bob"}), "1": frozenset({"bob"}), "2": frozenset[str]()}
    assert count(people, steps, good) == 0
    assert count(people, steps, good | {"2": frozenset({"ada"})}) == 1
    assert count(people, steps, good | {"1": frozenset({"ada"}), "2": frozenset({"bob"})}) == 2
