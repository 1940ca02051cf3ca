"""A selector's sets over several seeds in a tracker, with the methods that were measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from unlearn.audit.comparison import Comparison
from unlearn.audit.log import record
from unlearn.tracking.base import Tracker
from unlearn.worst_case.trial import Trial, average


def record_trials(
    trials: Sequence[Trial],
    chosen: Comparison,
    random: Comparison,
    tracker: Tracker,
    *,
    name: str = "worst case",
    tags: Mapping[str, str] | None = None,
) -> None:
    """Keep the search's settings, means of its figures over seeds, every seed's own, and what methods make of the sets.

    Inside the run there is one for every seed, with the rounds of its search as series, and one for each of the two
    comparisons, as `unlearn.audit.record` keeps it. Of who was chosen there are counts and keyed digests, no ids.

    Args:
        trials: one for each seed, of one selector and one budget.
        chosen: methods on the sets that the selector chose; `random`, on the random ones of the same budget.
        tags: of the run, as in `record`.

    Raises:
        ValueError: a comparison was made without a key.
    """
    of = trials[0].chosen
    seeds = [one.chosen.seed for one in trials]
    with tracker.run(name, tags=tags) as parent:
        parent.params({"selector": of.selector, "budget": str(of.budget), "seeds": seeds, **of.arguments})
        parent.metrics(average(trials))
        for one in trials:
            with tracker.run(f"search, seed {one.chosen.seed}", nested=True) as run:
                run.metrics(one.figures() | {"cost": one.chosen.cost, "seconds": one.chosen.seconds})
                for number, each in enumerate(one.chosen.rounds, 1):
                    run.metrics({f"round_{figure}": value for figure, value in asdict(each).items()}, step=number)
        below = {} if parent.id is None else {"mlflow.parentRunId": parent.id}
        for title, comparison in ((f"on sets by {of.selector}", chosen), ("on random sets", random)):
            record(comparison, tracker, name=title, tags=below)
