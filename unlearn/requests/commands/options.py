"""What the service's commands share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn.target import Subject

if TYPE_CHECKING:
    from unlearn.requests.service import Service
    from unlearn.requests.settings import Settings

DEFAULT = Path("unlearn.toml")

Config = Annotated[
    Path | None,
    typer.Option(
        envvar="UNLEARN_CONFIG",
        help=f"TOML file of settings (default: {DEFAULT}, if there is one); UNLEARN_... in the environment goes before "
        "it.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Identity = Annotated[
    str,
    typer.Option(help="TYPE=VALUE, a value alone for a controller_customer_id, or - to read either from the input."),
]


def log_to_stderr() -> None:
    """What happens, on standard error, with its time; nobody is named there."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)


def settings(config: Path | None) -> Settings:
    """The settings, examined."""
    from unlearn.requests.settings import Settings

    return Settings.read(DEFAULT if config is None and DEFAULT.is_file() else config)


def create_keys(keyring: Path) -> Path:
    """A new keyring, and beside it the public key that certificates are checked with; returns where that is.

    Raises:
        FileExistsError: there is a keyring: its keys are never overwritten.
    """
    from unlearn.requests.certificate import public_key
    from unlearn.requests.keyring import Keyring

    public = keyring.with_name("certificates.pub")
    public.write_text(public_key(Keyring.create(keyring)) + "\n", "utf-8")
    return public


@contextmanager
def opened(config: Path | None) -> Generator[Service]:
    """The service as the settings say, for as long as a command lasts."""
    from unlearn.requests.service import Service

    service = Service.open(settings(config))
    try:
        yield service
    finally:
        service.close()


def subject(text: str) -> Subject:
    """The person that `--identity` names."""
    if text == "-":  # so that an id need not stand in the history of a shell
        text = typer.get_text_stream("stdin").readline().rstrip("\n")
    kind, separator, value = text.partition("=")
    found = Subject(kind, value) if separator else Subject("controller_customer_id", text)
    if not found.value:
        raise ValueError("`identity` must be TYPE=VALUE or VALUE (got an empty value)")
    return found
