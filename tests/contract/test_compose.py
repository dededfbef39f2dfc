"""compose.yaml is a Compose file, and runs the same processes with settings that exist."""

import ipaddress
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from bus_schemas.limits import BUS_PAYLOAD_MAX
from bus_schemas.streams import NATS_VERSION_MIN
from ops.embedded.nats import reserved
from ops.plan import MODULES
from runtime.settings import env_name, leaves, load

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "matinee"}
SCHEMA: dict[str, Any] = json.loads((PROJECT / "tests" / "data" / "compose.schema.json").read_text("utf-8"))


def test_it_follows_the_compose_schema() -> None:
    """Every key is one of the format, with a value of its type."""
    faults = [
        f"{error.json_path}: {error.message}"
        for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(COMPOSE)
    ]

    assert faults == []


@pytest.mark.parametrize("fault", [{"imagee": "x"}, {"restart": "sometimes"}, {"ports": "8080"}])
def test_the_schema_refuses_what_compose_refuses(fault: dict[str, Any]) -> None:
    """A misspelt key, a word that is no policy, a text where a list belongs."""
    broken = {"services": {"one": {"image": "matinee", "networks": [], **fault}}}

    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(broken))


def test_one_service_for_each_kind_of_process() -> None:
    """Each kind runs as a service of its own name; besides them only the migration."""
    commands = {name: service["command"] for name, service in OURS.items()}

    assert commands == {kind: [kind] for kind in (*MODULES, "migrate")}


def test_every_setting_exists_and_takes_its_value() -> None:
    """The processes would refuse an unknown variable or a wrong value at start."""
    known = {env_name(path) for path, _ in leaves()}
    for name, service in OURS.items():
        environment = {key: _filled(str(value)) for key, value in service["environment"].items()}

        assert set(environment) <= known, name
        load(environ=environment)


def test_processes_start_after_the_migration_and_the_migration_after_the_servers() -> None:
    """Nothing meets a database without its tables."""
    for kind in MODULES:
        assert SERVICES[kind]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert SERVICES["migrate"]["depends_on"] == {
        server: {"condition": "service_healthy"} for server in ("nats", "postgres", "redis")
    }
    for server in ("nats", "postgres", "redis"):
        assert "test" in SERVICES[server]["healthcheck"]


def test_what_is_named_is_declared() -> None:
    """Networks, volumes and dependencies that services name are there."""
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert source in COMPOSE["volumes"] or (PROJECT / source).exists(), mount


def test_a_scaled_service_has_no_fixed_single_name_or_port_of_the_host() -> None:
    """Only the proxy and the ingest, whose ranges are set by RTMP_PORTS and RTMPS_PORTS, take ports of the host."""
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy", "ingest"}


def test_every_port_that_ingest_listens_on_is_mapped() -> None:
    """RTMP and RTMPS, each by a variable."""
    ingest = SERVICES["ingest"]
    inside = {_filled(port).rpartition(":")[2] for port in ingest["ports"]}

    assert inside == {ingest["environment"][f"MATINEE_INGEST__{name}_PORT"] for name in ("RTMP", "RTMPS")}
    assert all("${" in port for port in ingest["ports"])


def test_forwarded_headers_count_from_the_inside_network_alone() -> None:
    """The gateways trust the subnet that the proxy is in."""
    (inside,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    trusted = SERVICES["gateway"]["environment"]["MATINEE_GATEWAY__TRUSTED_PROXIES"]

    assert ipaddress.ip_network(trusted) == ipaddress.ip_network(inside["subnet"])


def test_a_process_may_drain_before_it_is_killed() -> None:
    """The engine waits longer than our own drain deadline."""
    for kind in MODULES:
        service = SERVICES[kind]
        assert int(service["stop_grace_period"].rstrip("s")) > int(service["environment"]["MATINEE_DRAIN_S"])


def test_nats_is_new_enough_and_has_room() -> None:
    """The image's version, the largest payload and the two bounds are what the contract needs."""
    version = tuple(int(part) for part in SERVICES["nats"]["image"].split(":")[1].split("-")[0].split("."))
    config = (PROJECT / "deploy" / "nats.conf").read_text("utf-8")

    assert version >= NATS_VERSION_MIN
    assert _number(config, "max_payload") == BUS_PAYLOAD_MAX
    assert _number(config, "max_memory_store") >= reserved("memory")
    assert _number(config, "max_file_store") >= reserved("file")


def test_the_image_holds_every_package_and_starts_as_the_command_line() -> None:
    """What the processes import is copied, nothing runs as root, and a service's command is one of ours."""
    dockerfile = (PROJECT / "deploy" / "Dockerfile").read_text("utf-8")
    copied = set(re.findall(r"^COPY (\w+)/ ", dockerfile, re.MULTILINE))

    assert {"bus_schemas", "media", "runtime", "gateway", "workers", "ops", "migrations"} <= copied
    assert re.search(r"^USER matinee$", dockerfile, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["python", "-m", "ops"\]$', dockerfile, re.MULTILINE)


def _filled(text: str) -> str:
    """The value once compose has put variables in: the default, or a password."""
    return re.sub(
        r"\$\{\w+(?::([-?])([^}]*))?\}", lambda match: match[2] if match[1] == "-" else "secret", text
    )


def _number(config: str, name: str) -> int:
    match = re.search(rf"^\s*{name}: (\d+),?$", config, re.MULTILINE)
    assert match is not None, name
    return int(match[1])
