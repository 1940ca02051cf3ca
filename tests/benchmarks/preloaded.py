"""Runs scripts in forks of a process that has loaded what they all load, which takes most of them longer than the rest.

Each line of standard input orders one, as JSON: its command line without the interpreter, its folder, and the files for
its output. A line with its exit status comes back.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import sys
from pathlib import Path

for module in ("recsys.commands.build", "recsys.methods", "unlearn.audit"):
    importlib.import_module(module)


def become(line: list[str], cwd: str, stdout: str, stderr: str) -> None:
    """Be that script, as a process of its own would be: its output, its folder, its arguments, its neighbours."""
    for path, flags, descriptor in ((os.devnull, os.O_RDONLY, 0), (stdout, os.O_WRONLY, 1), (stderr, os.O_WRONLY, 2)):
        os.dup2(os.open(path, flags | os.O_CREAT), descriptor)
    os.chdir(cwd)
    sys.argv = line
    sys.path[0] = str(Path(line[0]).parent)
    runpy.run_path(line[0], run_name="__main__")


for order in sys.stdin:
    child = os.fork()
    if child == 0:
        become(**json.loads(order))
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
