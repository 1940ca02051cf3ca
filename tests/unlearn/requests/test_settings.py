"""Settings come from a file and the environment, and unsafe ones are refused with all reasons at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from unlearn.requests.settings import Settings, UnusableSettings

GOOD = """
keyring = "/run/keys/keyring.json"
batch_window_minutes = 30
[targets.recsys]
workspace = "model"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "service.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(UnusableSettings) as refused:
        Settings.read(written(folder, text))
    return str(refused.value)


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLEARN_BATCH_LIMIT", "7")
    monkeypatch.setenv("UNLEARN_BATCH_WINDOW_MINUTES", "5")
    monkeypatch.setenv("UNLEARN_TARGETS__RECSYS__METHOD", "reconverge")
    found = Settings.read(written(tmp_path, GOOD))
    assert found.batching.limit == 7 and found.batching.window == timedelta(minutes=5)
    assert found.targets == {"recsys": {"workspace": "model", "method": "reconverge"}}
    assert found.due_within == timedelta(days=28) and found.batching.retrain_every == timedelta(days=30)
    assert Settings.read(written(tmp_path, f"retrain_every_days = 0\n{GOOD}")).batching.retrain_every is None


def test_everything_unsafe_is_named_with_its_reason(tmp_path: Path) -> None:
    told = refusal(tmp_path, f"""
        host = "0.0.0.0"
        database = "sqlite:///{tmp_path}/ledger.db"
        keyring = "{tmp_path}/keys/keyring.json"
        batch_margin_days = 28
        retrain_every_days = 0
        retrain_above_drift = 1
    """)  # fmt: skip
    for reason in (
        "`host` must be of this machine, for API keys would cross the network",
        "`targets` must name at least one",
        f"`keyring` must lie apart from the data (it is below {tmp_path})",
        "`batch_window_minutes` and `batch_margin_days` must leave time within `due_within_days`",
        "`retrain_every_days` must be above 0 where `retrain_above_drift` is 1",
    ):
        assert reason in told, told
    for folder in ("model", "model.service"):  # which are backed up together
        keyring = f'keyring = "{tmp_path}/{folder}/keyring.json"\n[targets.recsys]\nworkspace = "{tmp_path}/model"'
        assert f"`keyring` must lie apart from the data (it is below {tmp_path}/{folder})" in refusal(tmp_path, keyring)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_is_safe_and_so_is_a_proxy_that_speaks_tls(tmp_path: Path, host: str) -> None:
    assert Settings.read(written(tmp_path, f'host = "{host}"\n{GOOD}')).host == host
    assert Settings.read(written(tmp_path, f'host = "0.0.0.0"\nbehind_tls = true\n{GOOD}')).behind_tls


@pytest.mark.parametrize(
    "database", ["nonsense hunter2", "", "postgresql+psycopg://u:hunter2@host:port/db", "postgresql://u:hunter2@h/db"]
)
def test_a_database_that_is_no_url_or_of_another_driver_is_named_without_its_password(
    tmp_path: Path, database: str
) -> None:
    told = refusal(tmp_path, f'database = "{database}"\nport = 8000\n{GOOD}')
    assert "`database` must be a URL that begins with sqlite:// or postgresql+psycopg://" in told
    assert "hunter2" not in told


@pytest.mark.parametrize("value", ["inf", "nan"])
@pytest.mark.parametrize(
    "name", ["batch_window_minutes", "batch_margin_days", "retrain_every_days", "lease_seconds", "requests_per_second"]
)
def test_what_no_clock_can_tell_is_refused(tmp_path: Path, name: str, value: str) -> None:
    rest = GOOD.replace("batch_window_minutes = 30", "")
    assert f"`{name}`: input should be" in refusal(tmp_path, f"{name} = {value}\n{rest}")


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    told = refusal(tmp_path, "[targets.recsys]\nworkspace = 5\n[targets.other]\nworkspace = ['model']")
    assert "`targets.recsys.workspace` must be text" in told and "`targets.other.workspace` must be text" in told


def test_what_cannot_be_read_is_named_without_its_value(tmp_path: Path) -> None:
    told = refusal(tmp_path, f'port = "hunter2"\ntypo = "hunter2"\ndue_within_days = 90\n{GOOD}')
    assert all(name in told for name in ("`port`", "`typo`", "`due_within_days`")) and "hunter2" not in told
    assert "must be a TOML file" in refusal(tmp_path, "port = ")
    with pytest.raises(UnusableSettings, match="must be a TOML file"):
        Settings.read(tmp_path / "nowhere.toml")
