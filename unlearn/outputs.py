"""Whether a file can be written, asked before the work whose result it is to hold."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


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
    missing = [folder for folder in file.parents if not folder.exists()]
    if not (above := file.parents[len(missing)]).is_dir():
        return f"{above} is no folder"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            file.open("xb").close()
        except FileExistsError:
            file.open("ab").close()
        else:
            file.unlink()
    except OSError as error:
        return (error.strerror or str(error)).lower()
    finally:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
    return None
