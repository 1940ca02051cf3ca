"""unlearn verify-certificate"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from unlearn.command import command
from unlearn.requests.commands.options import Json


class NotVerified(RuntimeError):
    """The certificate is not what was signed, or tells of something that failed."""


@command
def verify_certificate(
    file: Annotated[Path, typer.Argument(help="A certificate.")],
    key: Annotated[
        str, typer.Option(help="The issuer's public key in base64 or a file of it, from a source that you trust.")
    ],
    previous: Annotated[Path | None, typer.Option(help="The certificate before it, to check the chain too.")] = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Check a certificate offline: signature, verification of every target, that nothing was left, chain."""
    from unlearn.requests.certificate import defects, parsed

    document = parsed(file.read_text("utf-8"))
    key = Path(key).read_text("utf-8").strip() if Path(key).is_file() else key
    found = defects(document, key, None if previous is None else parsed(previous.read_text("utf-8")))
    if found:
        raise NotVerified("\n  - ".join([f"{file} is not valid:", *found]))
    if not json_:
        number, targets = len(document["requests"]), ", ".join(document["targets"])
        typer.echo(
            f"{file} is valid: signed by that key, every target verified, nothing left; {number} "
            f"request{'s' * (number != 1)} in {targets}, closed at {document['closed_at'][:16]}"
        )
    return {"valid": True, "batch": document["batch"], "sequence": document["sequence"]}
