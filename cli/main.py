"""The `detector` command: one system of camera detection, from a demo on a laptop to many hosts."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Annotated, NoReturn

import typer

from cli import ending
from cli.packages.commands import app as packages
from contract import logs
from contract.errors import DetectorError

app = typer.Typer(
    help=(
        "Camera detection backend: cameras in, detections out over one WebSocket.\n\n"
        "Start with [bold]detector demo[/bold]: servers, four rendered cameras, detection, a CMS that shows what "
        "comes, all on this machine. [bold]detector up[/bold] is the same without cameras and CMS, for your own. On "
        "several hosts run the parts alone: python -m capture, celery -A tasks worker, python -m worker_api.\n\n"
        "Settings are environment variables DETECTOR_…; [bold]detector settings[/bold] lists them."
    ),
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(packages, name="mpta")


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(help="Stop after so many seconds; default: at Ctrl-C.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each protocol message as one line of JSON.")] = False,
) -> None:
    """Run everything on this machine, with rendered cameras, and show live detections.

    Exits with 0 when detections arrived, with 1 and one sentence when none did.
    """
    from cli import demo as demo_of

    settings = ending.settings()
    _finish(lambda: demo_of.run(settings, seconds=seconds, as_json=as_json, stop=ending.stop_on_signals()))


@app.command()
def up() -> None:
    """Run gateway, capture, one worker and Flower, and servers where none are named, until SIGINT or SIGTERM.

    A process that dies is started again. Subscriptions and sessions outlive a restart (DETECTOR_DATA_DIR).
    """
    from cli import up as up_of

    settings = ending.settings()
    logs.configure(settings, "up")
    _finish(lambda: up_of.run(settings, ending.stop_on_signals()))


@app.command()
def cameras(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    rtsp_port: Annotated[int, typer.Option(help="Port of the RTSP cameras; 0: any free one.")] = 8554,
    http_port: Annotated[int, typer.Option(help="Port of the HTTP cameras and of the page; 0: any free one.")] = 8555,
    count: Annotated[int, typer.Option(help="How many cameras.")] = 4,
    fps: Annotated[int, typer.Option(help="Pictures per second of each camera.")] = 10,
    truth_dir: Annotated[Path | None, typer.Option(help="Write what is really there into this folder.")] = None,
    seed: Annotated[int, typer.Option(help="Another number, other traffic.")] = 1,
) -> None:
    """Serve rendered forecourt cameras: two RTSP (H.264), one of JPEG snapshots, one MJPEG; each with its truth."""
    from simulator import cameras as cameras_of

    _finish(
        lambda: cameras_of.run(
            host=host,
            rtsp_port=rtsp_port,
            http_port=http_port,
            fps=fps,
            truth_dir=truth_dir,
            cameras=count,
            seed=seed,
        )
    )


@app.command()
def probe(
    url: Annotated[str, typer.Argument(help="Address of a camera, file or folder, as a CMS would name it.")],
    fps: Annotated[float | None, typer.Option(min=0.01, max=60, help="Detections/s; default: the setting.")] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=600, help="How long to watch.")] = 6.0,
    save: Annotated[Path | None, typer.Option(help="Write the last picture (JPEG) to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Watch a camera for some seconds: codec, size, rate, key frames, latency, what it would cost, what is wrong.

    Exits with 1 and one sentence when it gives no picture. A password in the address is printed nowhere.
    """
    from cli import probe as probe_of

    settings = ending.settings()
    _finish(lambda: probe_of.run(url, settings, wanted_fps=fps, seconds=seconds, picture=save, as_json=as_json))


@app.command()
def evaluate(
    package: Annotated[Path | None, typer.Argument(help="A package; default: the demo's.")] = None,
    scenes: Annotated[int, typer.Option(help="Fresh scenes to look at.")] = 40,
    seed: Annotated[int, typer.Option(help="Another number, other scenes; the default repeats the card.")] = 9_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure the demo package on rendered scenes that it was not trained on; exits with 1 below what is promised."""
    from cli.demo import PACKAGE
    from training import evaluate as evaluate_of

    _finish(lambda: evaluate_of.main(package or PACKAGE, scenes, seed, as_json))


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="What to call it: who will use it, or since when.")] = "cms",
) -> None:
    """Make a token for DETECTOR_TOKENS: printed once, kept nowhere; the setting holds its hash."""
    from cli import tokens as tokens_of

    _finish(lambda: tokens_of.run(name, ending.settings()))


@app.command()
def cms(
    url: Annotated[str | None, typer.Argument(help="Address of a gateway; default: this machine's, as set.")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token, where one is needed.")] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write the conversation to this file, passwords included.")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="First say again what the CMS says in this file.")] = None,
    fast: Annotated[bool, typer.Option(help="Replay without the pauses.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each message as one line of JSON.")] = False,
) -> None:
    """Be a CMS: take commands from the terminal or a script (help lists them), show what comes back.

    Exits with 1 and one sentence when nobody answers, or a script's line is wrong or waits in vain.
    """
    from cli.cms import shell

    address = url or f"ws://127.0.0.1:{ending.settings().port}/"
    _finish(lambda: shell.run(address, token=token, record=record, replay=replay, fast=fast, as_json=as_json))


@app.command(name="protocol-test")
def protocol_test(
    url: Annotated[str, typer.Argument(help="Address of a worker or gateway: ws://host:8000/ or wss://…")],
    camera: Annotated[str | None, typer.Option(help="A camera that shows what the package detects.")] = None,
    model: Annotated[str | None, typer.Option(help="A package for it, as the worker finds it.")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token, where one is needed.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Judge a worker, this one or another, by each rule of the CMS protocol, and say why it fails.

    Exits with 1 when a rule is broken. Without a camera and a package, what is detected cannot be judged.
    Rules marked "ours" are not in the older protocol: a worker that says nothing about them does not fail them.
    """
    from cli.conformance import command
    from cli.conformance.lab import Target

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    target = Target(url, headers, camera=camera, model=model)
    _finish(lambda: command.run(target, as_json=as_json))


@app.command()
def asyncapi() -> None:
    """Print the CMS protocol as an AsyncAPI 3.0 document: what gateways serve at /asyncapi.json."""
    from cli import asyncapi as asyncapi_of

    _finish(asyncapi_of.run)


@app.command(name="settings")
def list_settings() -> None:
    """List every setting: its variable, what it is, its default, its value here."""
    from cli import settings_table

    settings_table.show(ending.settings())


@app.command()
def status(
    url: Annotated[
        str | None, typer.Option(help="Address of the state server; default: as set, or as up has it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    watch: Annotated[bool, typer.Option(help="Look again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Show the cluster at a glance: processes, cameras, packages, rates, ages, and what is wrong.

    Exits with 1 when a person must act, with 0 when all is well.
    """
    from cli.status import command

    settings, stop = ending.settings(), ending.stop_on_signals() if watch else Event()
    _finish(lambda: command.run(settings, url=url, as_json=as_json, watch=watch, stop=stop))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(importlib.metadata.version("detector"))


def _finish(command: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its status, or with one sentence."""
    try:
        raise typer.Exit(command())
    except DetectorError as exc:
        ending.end(str(exc), 1)


if __name__ == "__main__":
    sys.exit(app())
