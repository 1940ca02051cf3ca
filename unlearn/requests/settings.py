"""The service's settings, from a TOML file and the environment; unsafe ones are refused, all at once."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from unlearn.invalid import InvalidInput
from unlearn.requests.queue import LONGEST_LEASE, Batching
from unlearn.requests.steps import Escalation
from unlearn.staging import Staging

PREFIX = "UNLEARN_"
_DRIVERS = ("sqlite", "postgresql+psycopg")


class UnusableSettings(InvalidInput):
    """The service cannot run, or cannot run safely, as it is set up."""


class Settings(BaseSettings):
    """Every field is a key of the TOML file, and `UNLEARN_<FIELD>` in the environment, which wins.

    Tables are written `UNLEARN_TARGETS__RECSYS__WORKSPACE` there.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True)

    database: str = "sqlite:///unlearn-service/ledger.db"
    keyring: Path = Path("unlearn-keys/keyring.json")
    targets: dict[str, dict[str, Any]] = Field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = Field(8_000, ge=1, le=65_535)
    behind_tls: bool = False
    domain: str = Field("localhost", pattern=r"^[a-z0-9.-]{1,253}$")
    due_within_days: int = Field(28, ge=1, le=45)
    batch_window_minutes: float = Field(60, ge=0, le=64_800)
    batch_limit: int = Field(256, ge=1, le=10_000)
    batch_margin_days: float = Field(3, ge=0, le=45)
    retrain_above_share: float = Field(0.02, ge=0, le=1)
    retrain_above_drift: float = Field(0.05, ge=0, le=1)
    retrain_every_days: float = Field(30, ge=0, le=36_500)  # 0: never
    lease_seconds: float = Field(60, ge=5, le=LONGEST_LEASE.total_seconds())
    requests_per_second: float = Field(50, gt=0, allow_inf_nan=False)
    body_limit_bytes: int = Field(65_536, ge=1_024)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file; nothing else."""
        return env_settings, init_settings

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """The settings of a file, of the environment, and the defaults.

        Raises:
            UnusableSettings: naming all values that cannot be read, or where there are none, everything that is unsafe.
        """
        written: dict[str, Any] = {}
        if path is not None:
            try:
                written = tomllib.loads(path.read_text("utf-8"))
            except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise UnusableSettings(f"`config` must be a TOML file ({path}: {error})") from None
        return cls.chosen(written)

    @classmethod
    def chosen(cls, written: Mapping[str, Any]) -> Self:
        """The settings that a file would hold, of the environment, and the defaults.

        Raises:
            UnusableSettings: naming all values that cannot be read, or where there are none, everything that is unsafe.
        """
        try:
            return cls(**written)
        except ValidationError as error:
            # Values are left out: one of them may be a password in a database's URL.
            problems = [_problem(list(one["loc"]), one["msg"]) for one in error.errors(include_input=False)]
            message = "\n  - ".join(["the service cannot run with these settings:", *problems])
            raise UnusableSettings(message, problems) from None

    @model_validator(mode="after")
    def _safe(self) -> Self:
        problems: list[str] = []
        if not (_loopback(self.host) or self.behind_tls):
            problems.append(
                "`host` must be of this machine, for API keys would cross the network readable: let a proxy that "
                "speaks TLS stand before it and say so with `behind_tls = true`"
            )
        if (url := self._url) is None or url.drivername not in _DRIVERS:
            # Quoted without what is behind it, for that may be a password.
            problems.append(f"`database` must be a URL that begins with {' or '.join(f'{one}://' for one in _DRIVERS)}")
        if not self.targets:
            problems.append("`targets` must name at least one, for else requests are acknowledged that nothing serves")
        problems += [
            f"`targets.{name}.workspace` must be text, the name of a folder"
            for name, options in self.targets.items()
            if not isinstance(options.get("workspace", ""), str)
        ]
        beside = [folder for folder in self._data_folders() if self.keyring.resolve().is_relative_to(folder)]
        if beside:
            problems.append(
                f"`keyring` must lie apart from the data (it is below {beside[0]}): whoever copies the one would copy "
                "the other with it"
            )
        if timedelta(days=self.batch_margin_days) + self.batching.window > timedelta(days=self.due_within_days):
            problems.append("`batch_window_minutes` and `batch_margin_days` must leave time within `due_within_days`")
        if not self.retrain_every_days and self.retrain_above_drift >= 1:
            problems.append(
                "`retrain_every_days` must be above 0 where `retrain_above_drift` is 1, for else nothing ever pays "
                "back what unlearning approximates: each batch would stand on the errors of all before it"
            )
        if problems:
            raise ValueError("\n  - ".join(problems))
        return self

    @property
    def _url(self) -> URL | None:
        try:
            return make_url(self.database)
        except (ArgumentError, ValueError):  # the latter for a port that is no number
            return None

    def _data_folders(self) -> list[Path]:
        url = self._url
        held = [Path(url.database).parent] if url and url.drivername == "sqlite" and url.database else []
        named = [options.get("workspace") for options in self.targets.values()]
        workspaces = [Path(one).resolve() for one in named if isinstance(one, str)]
        return [folder.resolve() for folder in held] + workspaces + [Staging.beside(one).folder for one in workspaces]

    @property
    def due_within(self) -> timedelta:
        """From receipt to the promised completion."""
        return timedelta(days=self.due_within_days)

    @property
    def batching(self) -> Batching:
        """When pending requests become a batch."""
        return Batching(
            window=timedelta(minutes=self.batch_window_minutes),
            limit=self.batch_limit,
            margin=timedelta(days=self.batch_margin_days),
            retrain_every=timedelta(days=self.retrain_every_days) if self.retrain_every_days else None,
        )

    @property
    def escalation(self) -> Escalation:
        """Above which shares a batch is retrained for at once."""
        return Escalation(share=self.retrain_above_share, drift=self.retrain_above_drift)


def _problem(where: list[int | str], message: str) -> str:
    name = ".".join(map(str, where))
    said = message.removeprefix("Value error, ")
    return f"`{name}`: {said[:1].lower()}{said[1:]}" if name else said


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
