"""Folders whose file names say what is inside: parts of a published split, ties beside interactions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recsys.errors import InvalidInteractions

_SPLITS = (
    ("data1.txt", (), "test1.txt"),
    *((f"train.{end}", (f"validation.{end}", f"valid.{end}"), f"test.{end}") for end in ("txt", "csv", "parquet")),
)
_WHOLE = ("interactions.parquet", "interactions.csv", "u.data", "ratings.dat", "ratings.csv")
_TIES = ("trustnetwork.txt", "ties.txt", "ties.csv", "ties.parquet")


@dataclass(frozen=True)
class Layout:
    """Files of a folder: `train` holds everything where there is no test."""

    train: Path
    validation: Path | None
    test: Path | None
    ties: Path | None


def find_layout(folder: Path) -> Layout:
    """The known layout of a folder.

    Raises:
        InvalidInteractions: none is recognised, or more than one could be meant.
    """
    names = sorted(path.name for path in folder.iterdir())
    ties = next((folder / name for name in (*_TIES, *(n for n in names if n.endswith(".net"))) if name in names), None)
    for train, validations, test in _SPLITS:
        if train in names and test in names:
            held = next((folder / name for name in validations if name in names), None)
            return Layout(folder / train, held, folder / test, ties)
    atomic = [name for name in names if name.endswith(".inter")]
    stem = atomic[0].rsplit(".", 2)[0] if atomic else ""
    if {f"{stem}.train.inter", f"{stem}.test.inter"} <= set(names):
        valid = f"{stem}.valid.inter"
        held = folder / valid if valid in names else None
        return Layout(folder / f"{stem}.train.inter", held, folder / f"{stem}.test.inter", ties)
    whole = [*atomic, *(name for name in _WHOLE if name in names)]
    if len(whole) == 1:
        return Layout(folder / whole[0], None, None, ties)
    raise InvalidInteractions(
        f"the folder `{folder}` must hold one data set in a known layout: train.txt and test.txt, data1.txt and "
        f"test1.txt, one .inter file, or one of {', '.join(_WHOLE)} (got {', '.join(names[:10]) or 'nothing'}); "
        "read the file itself, or the parts with `read_split`"
    )
