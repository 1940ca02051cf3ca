"""Work in a process that may be killed, at any of its changes to the file system or where it says."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

_CHANGES = frozenset({
    "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree", "shutil.copyfile",
})  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def killed(work: Callable[[], object]) -> bool:
    """Whether the work was killed; a process of its own does it."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.waitstatus_to_exitcode(status) == 0, "the work failed by itself"
    return False


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(change: int, work: Callable[[], object]) -> bool:
    """Do the work in a process that is killed just before its change number `change`; False if it made fewer.

    The interpreter's audit events count: files opened for writing, renamed, removed, folders made and removed.
    """

    def armed() -> None:
        _arm(change)
        work()

    return killed(armed)


def _arm(change: int) -> None:
    left = change

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in _CHANGES or (event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING):
            if left == 0:
                die()
            left -= 1

    sys.addaudithook(count)
