"""docker-compose.yml: what the specification allows, and what we want of every service."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli import healthcheck
from tests.unit.shipping.files import ROOT, SECRETS, Missing, compose, modules_of, schema, services

PARTS = ["gateway", "capture", "worker", "worker-gpu", "flower"]
SERVERS = ["state", "frames"]


def faults(content: dict[str, Any]) -> list[str]:
    """Return what the compose specification has against `content`."""
    return [error.message for error in Draft202012Validator(schema("compose-spec")).iter_errors(content)]


def test_the_file_is_what_the_specification_allows() -> None:
    assert faults(compose()) == []


def test_the_specification_refuses_a_misspelled_key() -> None:
    content = compose()
    content["services"]["gateway"]["stop_grace"] = "10s"

    assert any("stop_grace" in fault for fault in faults(content))


def test_there_are_two_servers_and_the_parts() -> None:
    assert sorted(services()) == sorted([*SERVERS, *PARTS])


@pytest.mark.parametrize("service", PARTS)
def test_a_command_names_modules_that_exist(service: str) -> None:
    command = services()[service]["command"]

    modules = modules_of(command)

    assert len(modules) == 1
    assert all(importlib.util.find_spec(module) for module in modules)
    assert command[0] in {"python", "celery"}


@pytest.mark.parametrize("service", PARTS)
def test_a_health_check_asks_for_the_part_that_runs(service: str) -> None:
    role = service.removesuffix("-gpu")

    assert role in healthcheck.ROLES
    assert services()[service]["healthcheck"]["test"] == ["CMD", "python", "-m", "cli.healthcheck", role]


@pytest.mark.parametrize("service", [*SERVERS, *PARTS])
def test_every_service_is_restarted_stopped_gently_checked_and_kept_small(service: str) -> None:
    given = services()[service]

    assert given["restart"] == "unless-stopped"
    assert given["init"] is True
    assert given.keys() >= {"healthcheck", "stop_grace_period", "mem_limit"}
    assert given["logging"]["options"].keys() == {"max-size", "max-file"}
    assert "stop_signal" not in given  # SIGTERM, as the image says.
    assert "container_name" not in given  # It would forbid `--scale`.


@pytest.mark.parametrize("service", [*SERVERS, *PARTS])
def test_no_service_has_rights_that_it_does_not_need(service: str) -> None:
    given = services()[service]

    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert given["read_only"] is (service != "worker-gpu")
    assert not given.keys() & {"privileged", "cap_add", "network_mode", "pid"}


def test_only_gateway_and_flower_can_be_reached_and_only_from_this_host() -> None:
    published = {name: given["ports"] for name, given in services().items() if "ports" in given}

    assert published == {"gateway": ["127.0.0.1:8000:8000"], "flower": ["127.0.0.1:5555:5555"]}


def test_the_gateway_listens_where_its_port_is_published() -> None:
    given = {"DETECTOR_PORT": "9000", "DETECTOR_HOST": "127.0.0.1", "GATEWAY_BIND": "0.0.0.0"}
    gateway = compose({**SECRETS, **given})["services"]["gateway"]

    assert gateway["environment"]["DETECTOR_HOST"] == "0.0.0.0"
    assert gateway["environment"]["DETECTOR_PORT"] == "9000"
    assert gateway["ports"] == ["0.0.0.0:9000:9000"]


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_nothing_starts_without_a_secret(secret: str) -> None:
    with pytest.raises(Missing, match=f"set {secret} in .env"):
        compose({name: value for name, value in SECRETS.items() if name != secret})


def test_no_secret_is_an_argument() -> None:
    arguments = [word for given in services().values() for word in given["command"]]
    checks = [word for given in services().values() for word in given["healthcheck"]["test"]]

    assert not [word for word in [*arguments, *checks] if any(value in word for value in SECRETS.values())]


def test_flower_asks_for_a_login_and_cannot_stop_workers() -> None:
    flower = services()["flower"]

    assert flower["environment"]["FLOWER_BASIC_AUTH"] == SECRETS["DETECTOR_FLOWER_BASIC_AUTH"]
    assert "--read_only=true" in flower["command"]


@pytest.mark.parametrize("service", PARTS)
def test_parts_wait_for_servers_that_answer(service: str) -> None:
    assert services()[service]["depends_on"] == {name: {"condition": "service_healthy"} for name in ("state", "frames")}


@pytest.mark.parametrize("service", SERVERS)
def test_servers_are_reached_by_our_parts_only(service: str) -> None:
    assert services()[service]["networks"] == ["servers"]
    assert compose()["networks"]["servers"] == {"internal": True}


def test_what_is_mounted_from_the_repository_is_in_it() -> None:
    volumes = [volume for given in services().values() for volume in given.get("volumes", [])]
    mounted = {volume.split(":")[0] for volume in volumes if volume.startswith("./deploy")}

    assert mounted == {"./deploy/state.conf", "./deploy/frames.conf"}
    assert all((ROOT / path).is_file() for path in mounted)


def test_only_what_the_state_server_holds_outlives_it() -> None:
    given = services()

    assert "state:/data" in given["state"]["volumes"]
    assert given["frames"]["tmpfs"] == ["/data"]


def test_a_gpu_is_asked_for_by_its_profile_only() -> None:
    given = services()

    assert {name for name, service in given.items() if "deploy" in service or "profiles" in service} == {"worker-gpu"}
    (device,) = given["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert given["worker-gpu"]["command"] == given["worker"]["command"]
