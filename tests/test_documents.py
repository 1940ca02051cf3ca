"""Runbook, threat model, notebooks and the files of `deploy/` are true: what they name exists and is accepted."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.routing import APIRoute

from tests.cli.run import unknown
from unlearn.requests.api import operating
from unlearn.requests.api.metrics import Metrics
from unlearn.requests.api.models import ErasureRequest
from unlearn.requests.database import Database
from unlearn.requests.keyring import Keyring
from unlearn.requests.ledger import Ledger
from unlearn.requests.settings import PREFIX, Settings
from unlearn.workspace_target import IDENTITY

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
OPERATIONS, THREATS = ((ROOT / "docs" / name).read_text("utf-8") for name in ("operations.md", "threat-model.md"))
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8")
    for path in [*(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.py"), *DEPLOY.iterdir()]
    if path.is_file()
}


_WITH_COMMANDS = ("03_worst_case", "04_social_influence", "05_stop_a_rumour")


def compose() -> dict[str, Any]:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))


def units() -> dict[str, configparser.ConfigParser]:
    """Every unit; where a key is given twice the last one is kept."""
    found: dict[str, configparser.ConfigParser] = {}
    for path in DEPLOY.glob("*.service"):
        found[path.stem] = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
        found[path.stem].optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
        found[path.stem].read(path)
    return found


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_commands_exist_with_their_options(name: str) -> None:
    lines = re.findall(r"(?:^ *|`|/bin/)unlearn ([a-z][^`\n#&|]*)", TEXTS[name], flags=re.MULTILINE)
    lines += re.findall(r"run --rm (?:--volume \S+ )?\w+ ([^`\n#]+)", TEXTS[name])
    commands = [shlex.split(line) for line in lines]
    assert [said for words in commands if (said := unknown(words))] == []
    assert len(commands) > 15 or name != "docs/operations.md"
    assert commands or name not in {f"notebooks/{one}.py" for one in _WITH_COMMANDS}


def test_settings_are_all_of_them_with_their_defaults() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", OPERATIONS, flags=re.MULTILINE))
    fields = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
    assert rows == {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in fields.items()
    }
    (block,) = re.findall(r"^```toml\n(.*?)^```$", OPERATIONS, flags=re.MULTILINE | re.DOTALL)
    chosen = Settings.chosen(tomllib.loads(block))
    assert chosen.behind_tls
    assert {name: options["workspace"] for name, options in chosen.targets.items()} == {
        "recsys": "/var/lib/unlearn/model",
        "graph_influence": "/var/lib/unlearn/network",
    }


def test_environment_variables_are_settings() -> None:
    own = {"UNLEARN_CONFIG", "UNLEARN_DATA"}
    for name, text in TEXTS.items():
        named = {one for one in re.findall(r"\bUNLEARN_[A-Z_]+\b", text) if one not in own}
        settings = {one.removeprefix(PREFIX).lower().split("__")[0] for one in named}
        assert settings <= set(Settings.model_fields), name


def test_metrics_exist(tmp_path: Path) -> None:
    database, keyring = Database(f"sqlite:///{tmp_path}/ledger.db"), Keyring.create(tmp_path / "keyring.json")
    database.migrate(keyring)
    told = Metrics(Ledger(database, keyring)).exposition()[0].decode()
    database.close()
    named = set(re.findall(r"^\| `(unlearn_\w+)` \|", OPERATIONS, flags=re.MULTILINE))
    assert len(named) >= 6 and [name for name in named if f"\n{name} " not in told] == []


def test_the_request_that_it_shows_is_one() -> None:
    (sent,) = re.findall(r"^curl (\S+) .*?--data '(.*?)'$", OPERATIONS, flags=re.MULTILINE | re.DOTALL)
    assert sent[0].endswith("/v2/requests")
    assert all(f'"{name}: ' in OPERATIONS for name in ("Idempotency-Key", "Authorization"))
    asked = ErasureRequest.model_validate_json(sent[1])
    assert [one.type for one in asked.subjects] == [IDENTITY] and len(asked.status_callback_urls) == 1
    assert OPERATIONS.count(asked.subject_request_id) == 2


@pytest.mark.parametrize("name", ["docs/operations.md", "docs/threat-model.md"])
def test_links_lead_somewhere(name: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXTS[name]) if "://" not in link]
    assert links and [link for link in links if not ((ROOT / name).parent / link).exists()] == []


def test_every_defence_has_a_test() -> None:
    rows = [
        row for row in re.findall(r"^\| (.*) \|$", THREATS, flags=re.MULTILINE) if not re.match(r"(threat \|)|-", row)
    ]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.split(" | ")[2])
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text("utf-8"), (file, test)


@pytest.mark.parametrize("name", ["serve", "worker", "keys"])
def test_the_service_accepts_what_compose_tells_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = compose()["services"][name]
    for key in [one for one in os.environ if one.startswith(PREFIX)]:
        monkeypatch.delenv(key)
    for key, value in service["environment"].items():
        monkeypatch.setenv(key, re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)))
    chosen = Settings.chosen({})
    assert chosen.database.startswith("postgresql+psycopg://") and "workspace" in chosen.targets["recsys"]
    assert chosen.behind_tls == (name == "serve")
    mounted = [one.split(":")[1] for one in service["volumes"]]
    assert chosen.keyring.parent in map(Path, mounted)
    assert any(Path(chosen.targets["recsys"]["workspace"]).is_relative_to(one) for one in mounted)
    assert unknown(service.get("command", [])) is None


def test_containers_can_write_nowhere_else_and_are_watched() -> None:
    found = compose()
    for name, service in found["services"].items():
        assert service["read_only"] and "no-new-privileges:true" in service["security_opt"], name
        assert ("ports" in service) == (name == "proxy"), name
        assert {one.split(":")[0] for one in service.get("volumes", [])} <= {*found["volumes"], "./keys", "./Caddyfile"}
        assert set(service.get("secrets", [])) <= set(found["secrets"])
        assert set(service["networks"]) <= set(found["networks"])
        if "build" in service:
            assert service["cap_drop"] == ["ALL"]
            assert ("./keys:/keys:ro" in service["volumes"]) == (name != "keys")
    ways_out = {name for name, network in found["networks"].items() if not network.get("internal")}
    assert {name: set(one["networks"]) & ways_out for name, one in found["services"].items()} == {
        "database": set(), "serve": set(), "keys": set(), "worker": {"out"}, "proxy": {"outside"},
    }  # fmt: skip
    assert all(found["services"][name]["healthcheck"]["test"] for name in ("database", "serve", "worker"))
    assert unknown(found["services"]["worker"]["healthcheck"]["test"][2:]) is None
    secrets = {Path(one["file"]).name for one in found["secrets"].values()}
    assert all(f"secrets/{name}" in OPERATIONS for name in secrets)


def test_the_proxy_lets_nobody_at_what_is_for_the_house() -> None:
    proxy, text = compose()["services"]["proxy"], (DEPLOY / "Caddyfile").read_text("utf-8")
    assert "./Caddyfile:/etc/caddy/Caddyfile:ro" in proxy["volumes"] and "command" not in proxy  # the image's own
    assert list(proxy["environment"]) == re.findall(r"^\{\$(\w+):localhost\} \{$", text, flags=re.MULTILINE)
    hidden = re.findall(r"^\t@(\w+) path (.+)\n\trespond @\1 404$", text, flags=re.MULTILINE)
    assert [paths.split() for _, paths in hidden] == [["/metrics*", "/readyz*"]]
    served = {route.path for route in operating.router.routes if isinstance(route, APIRoute)}
    assert {path.rstrip("*") for path in hidden[0][1].split()} <= served
    assert re.findall(r"^\treverse_proxy (\S+)$", text, flags=re.MULTILINE) == ["serve:8000"]
    assert Settings.model_fields["port"].default == 8000


def test_the_image_is_built_from_what_there_is() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, flags=re.MULTILINE):
        assert all((ROOT / one).exists() for one in line.split()), line
    assert re.search(r"^USER unlearn$", text, flags=re.MULTILINE) and '["unlearn"]' in text
    uid = re.findall(r"--uid (\d+)", text)
    assert uid and f"-o {uid[0]} " in OPERATIONS and f"chown {uid[0]} " in OPERATIONS


def test_units_run_commands_that_exist_with_as_little_as_they_need() -> None:
    found = units()
    assert set(found) == {"unlearn-serve", "unlearn-worker"}
    for name, unit in found.items():
        service = dict(unit["Service"])
        program, *words = service["ExecStart"].split()
        assert program == "/opt/unlearn/bin/unlearn" and f"{program} " in OPERATIONS
        assert words == [name.removeprefix("unlearn-")] and unknown(words) is None
        for key in (
            "NoNewPrivileges",
            "ProtectHome",
            "PrivateTmp",
            "PrivateDevices",
            "RestrictSUIDSGID",
            "LockPersonality",
        ):
            assert service[key] == "yes", (name, key)
        assert service["ProtectSystem"] == "strict" and service["CapabilityBoundingSet"] == ""
        assert service["User"] == "unlearn" and service["UMask"] == "0077"
        assert unit["Install"]["WantedBy"] == "multi-user.target"
        keys = [set(dict(one["Service"])) for one in found.values()]
        assert keys[0] ^ keys[1] <= {"IPAddressDeny", "IPAddressAllow"}
