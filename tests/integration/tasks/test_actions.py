"""Actions against real servers of packages' owners: away, silent, with passwords, and back."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from redis import Redis

from cli import embedded
from mpta.manifest import RedisTarget
from tasks import outlet
from tasks.actions import Actions
from tasks.backlog import Backlog
from tests.servers import RedisServer, eventually
from tests.unit.tasks.jobs import event, job, publish, save

PASSWORD = "hunter2"


@pytest.fixture
def owner() -> Iterator[RedisServer]:
    """The server of a package's owner."""
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        running = RedisServer(Path(home), port=embedded.free_port())
        running.start()
        yield running
        running.stop()


@pytest.fixture
def start() -> Iterator[Callable[..., Actions]]:
    """Starts actions, and ends them after the test."""
    running: list[Actions] = []

    def another(give_up_s: float = 30.0, **options: Any) -> Actions:
        running.append(Actions(give_up_s, **options))
        return running[-1]

    yield another
    for each in running:
        each.close(0.0)


def target(server: RedisServer, **fields: Any) -> RedisTarget:
    return RedisTarget(host="127.0.0.1", port=server.port, **fields)


def written(number: int) -> Any:
    """Return a job that appends to what its server holds: the picture of event `number`."""
    return job(event(save(f"seen:{number:03d}"), uuid=str(number)))


def keys_of(server: RedisServer) -> list[str]:
    with Redis.from_url(server.url) as client:
        return sorted(key.decode() for key in cast("list[bytes]", client.keys("*")))


def until(actions: Actions, **counts: int) -> dict[str, int]:
    """Wait for exact counts; return all."""
    wanted = {f"actions_{name}": number for name, number in counts.items()}
    return eventually(lambda: found if (found := actions.counts).items() >= wanted.items() else {})


@pytest.fixture
def silent() -> Iterator[RedisTarget]:
    """A server that lets everybody in and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield RedisTarget(host="127.0.0.1", port=listening.getsockname()[1])


def test_events_arrive_in_order(owner: RedisServer, start: Callable[..., Actions]) -> None:
    actions = start()
    with Redis.from_url(owner.url) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("c")
        listener.get_message(timeout=1.0)
        for number in range(50):
            actions.submit(target(owner), job(event(publish("uuid"), publish("uuid"), uuid=str(number))))

        heard = [eventually(lambda: listener.get_message(timeout=1.0)) for _ in range(100)]

    assert [json.loads(each["data"])["uuid"] for each in heard] == [str(i // 2) for i in range(100)]
    assert until(actions, done=100)["actions_queued"] == 0


def test_packages_with_one_target_share_its_connection_until_nobody_uses_it(
    owner: RedisServer, start: Callable[..., Actions]
) -> None:
    actions = start(idle_s=0.3)
    with Redis.from_url(owner.url) as client:
        before = len(client.client_list())

        actions.submit(target(owner), written(1))
        actions.submit(target(owner), written(2))
        until(actions, done=2)

        assert len(client.client_list()) == before + 1
        eventually(lambda: len(client.client_list()) == before)
        assert actions.targets == 0
        actions.submit(target(owner), written(3))
        until(actions, done=3)


def test_what_was_asked_while_the_server_was_away_is_done_once_it_is_back_and_told_once(
    owner: RedisServer, start: Callable[..., Actions], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    actions = start()
    there = target(owner)
    actions.submit(there, written(0))
    until(actions, done=1)
    owner.kill()
    for number in range(1, 4):
        actions.submit(there, written(number))
    eventually(lambda: actions.counts["actions_retried"] >= 2)

    owner.start()

    counts = until(actions, done=4)
    assert (counts["actions_failed"], counts["actions_dropped"]) == (0, 0)
    assert keys_of(owner) == ["seen:001", "seen:002", "seen:003"]
    where = f"127.0.0.1:{owner.port}"
    said = [record.getMessage() for record in caplog.records if where in record.getMessage()]
    assert len(said) == 2
    assert said[0].startswith(f"actions: {where} cannot be reached")
    assert said[1].startswith(f"actions: {where} is back")


def test_a_silent_server_delays_nobody_else(
    owner: RedisServer, silent: RedisTarget, start: Callable[..., Actions]
) -> None:
    actions = start()
    actions.submit(silent, written(1))
    actions.submit(target(owner), written(2))

    counts = until(actions, done=1)

    assert counts["actions_retried"] == 0
    assert keys_of(owner) == ["seen:002"]


def test_an_action_is_dropped_when_its_time_is_over(
    silent: RedisTarget,
    start: Callable[..., Actions],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(outlet, "TIMEOUT_S", 0.1)
    actions = start(give_up_s=0.5)
    for _ in range(3):
        actions.submit(silent, job(event(publish("class"), save("k"))))

    counts = until(actions, dropped=6)

    assert (counts["actions_done"], counts["actions_failed"], counts["actions_queued"]) == (0, 0, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "does not answer" in caplog.text


def test_the_oldest_are_dropped_and_counted_when_too_many_wait(
    owner: RedisServer, start: Callable[..., Actions]
) -> None:
    actions = start(backlog=Backlog(most_jobs=2))
    owner.kill()
    actions.submit(target(owner), written(0))
    eventually(lambda: actions.counts["actions_queued"] == 0)
    for number in range(1, 6):
        actions.submit(target(owner), written(number))
    counts = actions.counts
    assert (counts["actions_dropped"], counts["actions_queued"]) == (3, 2)

    owner.start()

    until(actions, done=3)
    assert keys_of(owner) == ["seen:000", "seen:004", "seen:005"]


def account(server: RedisServer, *rules: str, password: str | None = None) -> None:
    with Redis.from_url(server.url, password=password) as client:
        client.execute_command("ACL", "SETUSER", *rules)


@pytest.mark.parametrize(("given", "does"), [(PASSWORD, True), ("wrong-one", False), (None, False)])
def test_a_wrong_password_is_told_and_shown_nowhere(
    owner: RedisServer,
    start: Callable[..., Actions],
    caplog: pytest.LogCaptureFixture,
    given: str | None,
    does: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    account(owner, "default", "resetpass", f">{PASSWORD}")
    actions = start()

    actions.submit(target(owner, password=given), written(1))

    if does:
        until(actions, done=1)
    else:
        eventually(lambda: actions.counts["actions_retried"])
        assert "does not take the user name and password" in caplog.text
        account(owner, "default", f">{given}" if given else "nopass", password=PASSWORD)
        until(actions, done=1)
    assert PASSWORD not in caplog.text
    assert "wrong-one" not in caplog.text


def test_an_account_that_may_do_nothing_else_will_do(owner: RedisServer, start: Callable[..., Actions]) -> None:
    account(owner, "pump", "on", f">{PASSWORD}", "~seen:*", "&c", "+set", "+publish")
    actions = start()

    there = target(owner, username="pump", password=PASSWORD)
    actions.submit(there, job(event(save("seen:1"), publish("class"))))

    assert until(actions, done=2)["actions_failed"] == 0


def test_an_action_that_the_server_refuses_fails_and_the_next_runs(
    owner: RedisServer, start: Callable[..., Actions], caplog: pytest.LogCaptureFixture
) -> None:
    account(owner, "pump", "on", "nopass", "~seen:*", "&c", "+set", "+publish")
    actions = start()

    for _ in range(3):
        actions.submit(target(owner, username="pump", password="x"), job(event(save("other"), save("seen:1"))))

    counts = until(actions, done=3, failed=3)
    assert (counts["actions_retried"], keys_of(owner)) == (0, ["seen:1"])
    assert len(caplog.records) == 1
    assert "redis_save_image" in caplog.text
    assert "NoPermissionError" in caplog.text


def test_a_server_that_repeats_the_password_gets_it_into_no_log(
    start: Callable[..., Actions], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def parrot(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            while said := connection.recv(4096):
                word = said.replace(b"\r\n", b" ").replace(b"$", b"")
                connection.sendall(b"-ERR unknown command, with args beginning with: " + word + b"\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=parrot, args=(listening,))
        thread.start()
        actions = start()
        there = RedisTarget(host="127.0.0.1", port=listening.getsockname()[1], password=PASSWORD)
        actions.submit(there, written(1))
        until(actions, failed=1)
        actions.close()
        thread.join()

    assert "refuses it" in caplog.text
    assert PASSWORD not in caplog.text


def test_a_worker_that_ends_runs_what_waits_and_then_closes(owner: RedisServer, start: Callable[..., Actions]) -> None:
    actions = start()
    for number in range(20):
        actions.submit(target(owner), written(number))

    actions.close()

    assert len(keys_of(owner)) == 20
    assert actions.targets == 0


def test_a_worker_that_ends_does_not_wait_for_a_server_that_is_away(
    owner: RedisServer, start: Callable[..., Actions]
) -> None:
    owner.kill()
    actions = start()
    actions.submit(target(owner), written(1))
    eventually(lambda: actions.counts["actions_retried"])

    actions.close()

    assert until(actions, dropped=1)["actions_queued"] == 0
    assert actions.targets == 0


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 that signed itself, and its key."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=pump", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", str(files[0]), "-keyout", str(files[1])], check=True, capture_output=True)
    return files


@pytest.fixture
def encrypted(owner: RedisServer, certificate: tuple[Path, Path]) -> Iterator[RedisTarget]:
    """The owner's server behind TLS: the server that tests have speaks none itself."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        sink.close()

    def serve(listening: socket.socket) -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            try:
                outside = context.wrap_socket(raw, server_side=True)
            except OSError:  # Who does not trust us hangs up.
                raw.close()
                continue
            inside = socket.create_connection(("127.0.0.1", owner.port))
            for ends in ((outside, inside), (inside, outside)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listening,))
    thread.start()
    yield RedisTarget(host="127.0.0.1", port=listening.getsockname()[1], tls=True)
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


def test_tls_is_spoken_to_a_server_that_can_be_trusted(
    owner: RedisServer,
    encrypted: RedisTarget,
    certificate: tuple[Path, Path],
    start: Callable[..., Actions],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    actions = start()

    actions.submit(encrypted, written(1))

    until(actions, done=1)
    assert keys_of(owner) == ["seen:001"]


def test_tls_is_not_spoken_to_a_stranger(
    owner: RedisServer, encrypted: RedisTarget, start: Callable[..., Actions], caplog: pytest.LogCaptureFixture
) -> None:
    actions = start()

    actions.submit(encrypted, written(1))

    eventually(lambda: actions.counts["actions_retried"])
    assert "no TLS connection that can be trusted" in caplog.text
    assert keys_of(owner) == []
