"""What the service's commands share."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unlearn.target import Subject

if TYPE_CHECKING:
    from unlearn.requests.ledger import Ledger
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
Identity = Annotated[
    str,
    typer.Option(help="TYPE=VALUE, a value alone for a controller_customer_id, or - to read either from the input."),
]


def log_to_stderr() -> None:
    """What happens, on standard error, with its time; nobody is named there."""
    import logging

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # They tell of every migration, and of every callback its URL, path and query with it.
    for name in ("alembic", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def settings(config: Path | None) -> Settings:
    """The settings, examined."""
    from unlearn.requests.settings import Settings

    return Settings.read(DEFAULT if config is None and DEFAULT.is_file() else config)


@contextmanager
def new_keys(keyring: Path, *, option: str) -> Generator[Path]:
    """A new keyring, and beside it the public key that certificates are checked with; gives where that is.

    Where the body raises, both are removed again, for nothing has been encrypted or signed with them.

    Raises:
        FileExistsError: there is a keyring, or a public key: neither is ever overwritten.
    """
    from unlearn.requests.certificate import public_key
    from unlearn.requests.keyring import Keyring

    public = keyring.with_name("certificates.pub")
    if public.exists() and not keyring.exists():
        raise FileExistsError(
            f"`{option}` must be in a folder without a certificates.pub (got {keyring.parent}): certificates of "
            "another keyring are checked with that one; name another folder, or move it away"
        )
    made = [folder for folder in keyring.parents if not folder.exists()]
    try:
        keys = Keyring.create(keyring)
    except FileExistsError:
        raise FileExistsError(
            f"`{option}` must be a new file (got {keyring}): keys are never overwritten, for whatever was encrypted, "
            "named or signed with them would be lost; name another, or move it away if no ledger was made with it"
        ) from None
    try:
        public.write_text(public_key(keys) + "\n", "utf-8")
        yield public
    except BaseException:
        for file in (keyring, public):
            file.unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):  # something else is in it by now
                folder.rmdir()
        raise


@contextmanager
def opened(config: Path | None) -> Generator[Service]:
    """The service as the settings say, for as long as a command lasts."""
    from unlearn.requests.service import Service

    _leave_no_core_file()
    service = Service.open(settings(config))
    try:
        with _readable(service.ledger):
            yield service
    finally:
        service.close()


@contextmanager
def opened_ledger(config: Path | None) -> Generator[Ledger]:
    """Its ledger alone: targets take seconds and memory to load, and may be what an operator has to put right."""
    from unlearn.requests.keyring import Keyring
    from unlearn.requests.service import open_ledger

    _leave_no_core_file()
    chosen = settings(config)
    ledger = open_ledger(chosen, Keyring.read(chosen.keyring))
    try:
        with _readable(ledger):
            yield ledger
    finally:
        ledger.database.close()


@contextmanager
def _readable(ledger: Ledger) -> Generator[None]:
    """A database that is gone, or whose disk is full, is no defect of the command: it is told in a line."""
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        raise ledger.database.told(error) from None


def _leave_no_core_file() -> None:
    """What memory holds, keys and ids, is not for a file of a crash."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def subject(text: str) -> Subject:
    """The person that `--identity` names.

    Raises:
        ValueError: it is empty, or no text.
    """
    if text == "-":  # so that an id need not stand in the history of a shell
        text = typer.get_text_stream("stdin").readline().rstrip("\n")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("`identity` must be text in UTF-8 (got other bytes)") from None
    kind, separator, value = text.partition("=")
    found = Subject(kind, value) if separator else Subject("controller_customer_id", text)
    if not found.value:
        raise ValueError("`identity` must be TYPE=VALUE or VALUE (got an empty value)")
    return found
