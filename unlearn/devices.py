"""Devices: whether a named one can be used here, and how long work on it takes."""

from __future__ import annotations

import time

import torch


def unusable(name: str) -> str | None:
    """What is wrong with a device of that name (cpu, cuda, cuda:1, mps); None where torch can compute there."""
    try:
        torch.empty(0, device=name).cpu()  # what has no content, as `meta`, does not come back
    except (RuntimeError, AssertionError, NotImplementedError):  # torch's, by what it was built without
        there = ["cpu"]
        if (accelerator := torch.accelerator.current_accelerator(check_available=True)) is not None:
            there += [f"{accelerator.type}:{k}" for k in range(torch.accelerator.device_count())]
        return f"`device` must be one that torch can use here: {', '.join(there)} (got {name})"
    return None


def elapsed(since: float) -> float:
    """Seconds since `since`, a reading of `time.perf_counter()`, after waiting for an accelerator's queued work."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter() - since
