"""The memory of this process: a setting of the C allocator for iterative work on large tensors, and the peak."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_THIRTY_TWO_MIB = 32 * 2**20  # the most glibc accepts


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
