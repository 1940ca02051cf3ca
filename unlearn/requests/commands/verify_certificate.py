"""unlearn verify-certificate"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from unlearn.command import Json, command

_KEY = 32  # bytes of Ed25519


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
    from unlearn.forget import few
    from unlearn.requests.certificate import defects, disclosed

    public = _public_key(key)
    document, before = _read(file), None if previous is None else _read(previous)
    found = defects(document, public, before)
    if found:
        raise NotVerified("\n  - ".join([f"{file} is not valid:", *found]))
    requests = disclosed(document, "request")
    together = {kind: told[0] if (told := disclosed(document, kind)) else None for kind in ("counts", "figures")}
    if not json_:
        hidden = "a scheduled retrain" if document["occasion"] == "schedule" else "requests that it does not disclose"
        of = few([one["subject_request_id"] for one in requests]) if requests else hidden
        typer.echo(
            f"{file} is valid: signed by that key, every target verified, nothing left; {of} in "
            f"{', '.join(document['targets'])}, closed at {document['closed_at'][:16]}"
        )
    told = {"valid": True, "batch": document["batch"], "sequence": document["sequence"], "requests": requests}
    return told | together


def _public_key(named: str) -> str:
    """The key that was named, by itself or by its file.

    Raises:
        ValueError: it is neither.
    """
    if _is_key(named):  # whatever file is called like it: whoever sent a certificate may have sent that, too
        return named
    file = Path(named)
    text = file.read_text("utf-8", errors="replace").strip() if (there := file.is_file()) else named
    if not _is_key(text):
        came = f"{file} holds something else" if there else f"there is no file {named}"
        raise ValueError(f"`key` must be a public key in base64 or a file of it ({came})")
    return text


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY
    except ValueError:
        return False


def _read(file: Path) -> Any:
    """The document of a file.

    Raises:
        ValueError: it is no JSON, or says something twice.
    """
    from unlearn.requests.certificate import parsed

    try:
        return parsed(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} must be a certificate, in JSON ({error})") from None
