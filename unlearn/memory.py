"""The memory of this process: a setting of the C allocator for iterative work on large tensors, the peak, the room."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_THIRTY_TWO_MIB = 32 * 2**20  # the most glibc accepts
_LITTLE = 2**28  # bytes; to ask what is free takes a hundredth of a small request


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks of up to 32 MiB for reuse; False where the C library is another.

    By default a tensor of more than 128 KiB is mapped afresh and handed back at once, so that every result of an
    iterative solver pays a page fault for each 4 KiB of it: at a few megabytes that is most of the time. It is a
    setting of the whole process, hence for programs (the command line, a service, a benchmark), never at import.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _THIRTY_TWO_MIB)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**30))


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


def require_memory(needed: int, work: str, remedy: str) -> None:
    """Refuse work that memory cannot hold before it begins: Linux grants what there is not, and kills whoever uses it.

    Raises:
        ValueError: fewer than `needed` bytes are free; the message says how many, what for, and the remedy.
    """
    if needed > _LITTLE and (free := free_bytes()) is not None and needed > free:
        raise ValueError(
            f"{work} must fit into memory (it takes about {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB are "
            f"free); {remedy}"
        )


def free_bytes(root: Path = Path("/")) -> int | None:
    """What this process may still take of main memory, and of what its control groups allow; None but on Linux."""
    memory, membership = root / "proc/meminfo", root / "proc/self/cgroup"
    if not memory.exists():
        return None
    free = [1024 * _number(memory, "MemAvailable:")]
    if membership.exists():
        own = next((line[3:] for line in membership.read_text("utf-8").splitlines() if line.startswith("0::")), "/")
        groups = root / "sys/fs/cgroup"
        group = groups / own.strip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(groups) and (folder / "memory.max").exists():
                most = (folder / "memory.max").read_text("utf-8").strip()
                if most != "max":  # what files left in the page cache is given up when it is wanted
                    used = int((folder / "memory.current").read_text("utf-8"))
                    free.append(int(most) - used + _number(folder / "memory.stat", "inactive_file"))
    return max(0, min(free))


def _number(path: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in path.read_text("utf-8").splitlines() if line.split()[0] == name)
