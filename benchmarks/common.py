"""What the benchmarks share: their options, the data, fair timing, and the JSON they write."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from recsys.data import Split, ratio, read, synthetic
from unlearn.memory import keep_freed_memory


def arguments(description: str | None) -> argparse.Namespace:
    """The options of every benchmark: data, json, quick."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    named = os.environ.get("UNLEARN_DATA")
    parser.add_argument("--data", type=Path, default=named, help="folder of the data sets [UNLEARN_DATA]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument(
        "--quick", action="store_true", help="seconds on small synthetic data: that it runs, no figures"
    )
    options = parser.parse_args()
    if not options.quick and (options.data is None or not options.data.is_dir()):
        came = "none" if options.data is None else f"`{options.data}`"
        parser.error(f"`--data` must be the folder of the data sets (got {came}); set UNLEARN_DATA, or pass --quick")
    keep_freed_memory()
    return options


def load(options: argparse.Namespace, name: str) -> Split:
    """The published split `name`, with a validation part taken from train; under --quick a synthetic one."""
    if options.quick:
        return ratio(synthetic(200, 120, 4_000, seed=0))
    found = read(options.data / name)
    if not isinstance(found, Split):
        raise SystemExit(f"`{name}` must hold a published train and test file (got interactions without a split)")
    return found


def report(options: argparse.Namespace, benchmark: str, split: Split, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The head of a result: what was measured, on what data, by which machine."""
    head = {
        "benchmark": benchmark,
        "quick": options.quick,
        "machine": {
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
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


def finish(options: argparse.Namespace, result: Mapping[str, Any]) -> None:
    """Write the result where it was asked for."""
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


def say(text: str) -> None:
    print(text, flush=True)


def spread(values: Iterable[float]) -> dict[str, Any]:
    """Median, ends and raw values."""
    values = list(values)
    return {"median": statistics.median(values), "low": min(values), "high": max(values), "values": values}


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


def peak_bytes() -> int:
    """The most memory that this process has held at a time.

    Linux tells it for the program now running; `ru_maxrss` may be that of the parent, which a child takes over.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
