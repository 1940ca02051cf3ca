"""Files that hold results: whether one can be written, asked before the work, and how it is written after it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from unlearn import durable
from unlearn.jsonable import json_text


def require_writable(**files: Path | None) -> None:
    """Refuse files that cannot be written, all at once; None and `-` (the standard output) are none.

    Args:
        files: by the name of the option that takes each.

    Raises:
        ValueError: listing every option whose file cannot be written, and why.
    """
    problems = [
        f"`{option}` must be a file that can be written (got {file}: {why})"
        for option, file in files.items()
        if file is not None and str(file) != "-" and (why := obstacle(file)) is not None
    ]
    if problems:
        raise ValueError("\n".join(problems))


def obstacle(file: Path) -> str | None:
    """Why the file cannot be written, with the folders above it made where there are none; None where it can.

    It is tried, for what permissions say is not true everywhere; nothing is changed, and nothing left behind.
    """
    if file.is_dir():
        return "it is a folder"
    if file.exists() and not file.is_file():  # a pipe or a device: to open it may change something
        return None if os.access(file, os.W_OK) else "permission denied"
    file = file.resolve()
    beside = durable.unfinished(file)
    missing = [folder for folder in file.parents if not folder.exists()]
    if not (above := file.parents[len(missing)]).is_dir():
        return f"{above} is no folder"
    try:
        if file.exists():
            file.open("ab").close()
        beside.parent.mkdir(parents=True, exist_ok=True)
        os.close(durable.create(beside, 0o600))
        beside.unlink()
    except OSError as error:
        return _why(error)
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
    return None


def write(file: Path, content: bytes) -> None:
    """Put `content` in the place of whatever the file held, as a whole or not at all; the folders above are made.

    Who may read the file stays as it was. What is no regular file, a pipe or a device, is written to.

    Raises:
        OSError: it cannot be written, with the reason and the file; what was there is still there.
    """
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)
        else:
            mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0o666
            durable.replace(file.resolve(), content, mode=mode)
    except OSError as error:
        raise unwritten(file, error) from error


def unwritten(place: Path, error: OSError) -> OSError:
    """The error with the place that could not be written, and a remedy."""
    return OSError(f"{place} could not be written ({_why(error)}); make room there, or name another place")


def write_json(file: Path | None, content: Any) -> None:
    """Write a result as JSON; None and `-` (the standard output) are no files.

    Raises:
        OSError: as `write`.
    """
    if file is not None and str(file) != "-":
        write(file, json_text(content).encode())


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
