"""What the benchmarks share: their options, the data, fair timing, and the JSON they write and go on from."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import torch
from tqdm import tqdm

from recsys.commands.build import load_split
from recsys.commands.options import Setup
from recsys.data import Split, ratio, synthetic
from unlearn.audit.measures import interval
from unlearn.memory import keep_freed_memory
from unlearn.outputs import write


def arguments(
    description: str | None, own: Callable[[argparse.ArgumentParser], object] | None = None
) -> argparse.Namespace:
    """The options of every benchmark (data, json, quick) and those that `own` adds."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=data_set(""), help="folder of the data sets [UNLEARN_DATA]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument(
        "--quick", action="store_true", help="seconds on small synthetic data: that it runs, no figures"
    )
    if own is not None:
        own(parser)
    options = parser.parse_args()
    if not options.quick and (options.data is None or not options.data.is_dir()):
        came = "none" if options.data is None else f"`{options.data}`"
        parser.error(f"`--data` must be the folder of the data sets (got {came}); set UNLEARN_DATA, or pass --quick")
    keep_freed_memory()
    signal.signal(signal.SIGINT, _stop)
    return options


def data_set(name: str) -> Path | None:
    """A file or folder in the folder of the data sets; None where the environment names none."""
    named = os.environ.get("UNLEARN_DATA")
    return Path(named, name) if named else None


def _stop(*_: object) -> NoReturn:
    # Training answers a KeyboardInterrupt with what it has reached, which no table may mistake for a trained model.
    say("interrupted")
    raise SystemExit(130)


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """The options that choose the data set."""
    parser.add_argument("--dataset", default="lastfm", help="a folder or file in the folder of the data sets [lastfm]")
    parser.add_argument("--split", help="given, ratio, leave-last-out, temporal-user or temporal [by the data]")


def at_least(lowest: int) -> Callable[[str], int]:
    """The type of an option that counts something."""

    def count(text: str) -> int:
        if not text.isdigit() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"must be an integer of at least {lowest} (got {text!r})")
        return int(text)

    return count


def above_zero(highest: float = math.inf) -> Callable[[str], float]:
    """The type of an option that weighs something."""

    def weight(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0.0 < value <= highest:
            most = "" if highest == math.inf else f" and at most {highest:g}"
            raise argparse.ArgumentTypeError(f"must be a number above 0{most} (got {text!r})")
        return value

    return weight


def load(options: argparse.Namespace, name: str, split: str | None = None) -> Split:
    """The data set `name` split as `unlearn evaluate` splits it; under --quick a synthetic one."""
    if options.quick:
        return ratio(synthetic(200, 120, 4_000, seed=0))
    try:
        return load_split(Setup(data=options.data / name, split=split), 0)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error


def report(options: argparse.Namespace, benchmark: str, split: Split, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The head of a result: what was measured, on what data, by which machine."""
    head = {
        "benchmark": benchmark,
        "quick": options.quick,
        "machine": machine(),
        "data": {
            "users": split.train.n_users,
            "items": split.train.n_items,
            **{part: len(getattr(split, part)) for part in ("train", "validation", "test")},
            "digest": split.train.digest(),
        },
        "settings": dict(settings),
    }
    say(json.dumps({key: head[key] for key in ("machine", "data", "settings")}, indent=2))
    return head


def machine() -> dict[str, Any]:
    """What seconds depend on, and nothing that names the machine."""
    return {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def finish(options: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """Write the result, or what there is of it so far, where it was asked for; never half a file."""
    if options.json is not None:
        write(options.json, (json.dumps(result, indent=2) + "\n").encode())


def kept(options: argparse.Namespace, head: Mapping[str, Any], rows: str) -> list[dict[str, Any]]:
    """The `rows` that an earlier run has written to the same file under the same settings; none where there is no file.

    Seconds are comparable on one machine only, so that is among what must agree.
    """
    if options.json is None:
        raise SystemExit("`--resume` goes on from the file of `--json` (got none); pass --json OUT")
    if not options.json.exists():
        return []
    found = json.loads(options.json.read_text("utf-8"))
    now = json.loads(json.dumps(head))
    differing = [f"  {key}: {found.get(key)} there, {now[key]} now" for key in now if found.get(key) != now[key]]
    if differing:
        told = "\n".join(differing)
        raise SystemExit(f"`--resume` needs a file of the same settings; name another, or leave it out:\n{told}")
    return found[rows]


def say(text: str) -> None:
    tqdm.write(text)  # above a progress bar, where there is one
    sys.stdout.flush()


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Median, ends and raw values."""
    values = list(values)
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "values": values}


def average(values: Iterable[float]) -> dict[str, Any]:
    """Mean, the ends of its 95 % interval (None for a single value) and raw values."""
    values = list(values)
    figures = {name: None if math.isnan(value) else value for name, value in asdict(interval(values)).items()}
    return figures | {"values": values}


def around(figures: Mapping[str, Any], form: str = ".4f") -> str:
    """An average in words."""
    half = "" if figures["high"] is None else f" ± {figures['high'] - figures['mean']:{form}}"
    return f"{figures['mean']:{form}}{half}"


def shown(figures: Mapping[str, Any], form: str = ".3g") -> str:
    """A spread in words."""
    return f"{figures['median']:{form}} ({figures['low']:{form}} to {figures['high']:{form}})"


def verdict(met: bool) -> str:
    return "met" if met else "missed"


def alternate(contenders: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every contender in every round.

    They take turns, so that whatever slows the machine for a while slows all of them. One round before is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for counted in [False] + [True] * repeats:
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            if counted:
                seconds[name].append(time.perf_counter() - began)
    return seconds


class Stopwatch:
    """Seconds since it was made, less those spent in `paused()`."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @contextmanager
    def paused(self) -> Generator[None]:
        stopped = time.perf_counter()
        try:
            yield
        finally:
            self._began += time.perf_counter() - stopped
