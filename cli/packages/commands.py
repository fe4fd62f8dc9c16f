"""`detector mpta`: what it takes and what it promises; each command does its work in a module of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from cli import ending
from contract.errors import DetectorError

if TYPE_CHECKING:
    import mpta

app = typer.Typer(
    help=(
        "Check, look into, try out and make packages (.mpta). What a package is: docs/mpta.md.\n\n"
        "Every command takes a .mpta file or a folder of the same content: a package can be worked on unpacked.\n\n"
        "    detector mpta validate my-package/ --run\n\n"
        "    detector mpta pack my-package/ -o my-package.mpta"
    ),
    rich_markup_mode="rich",
    no_args_is_help=True,
)

File = Annotated[Path, typer.Argument(help="A .mpta file, or a folder of the same content.", metavar="FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:N or auto; default: the setting DETECTOR_DEVICE.", metavar="DEVICE")
]


@app.command()
def validate(
    file: File,
    models: Annotated[
        bool, typer.Option("--models", help="Also load the models: do the classes that the package names exist?")
    ] = False,
    run: Annotated[
        bool, typer.Option("--run", help="The same, and run the golden cases that the package carries in tests/.")
    ] = False,
    as_json: AsJson = False,
    device: Device = None,
) -> None:
    """Say everything that is wrong or odd about a package: FILE:KEY and what to do.

    Exits with 0 when all of it would run; with 1 when it would be refused,
    an action would be disabled, or a golden case fails. Without --models and
    --run no model is loaded: that is fast, and safe with a stranger's.

        detector mpta validate forecourt.mpta --run
    """
    from rich.console import Console

    from cli.packages import findings as findings_of

    def work() -> int:
        found = findings_of.examine(file, models=models, run=run, load=lambda opened: _loaded(opened, device))
        if as_json:
            typer.echo(json.dumps(found.as_json()))
        else:
            findings_of.show(found, Console(), ran=run)
        return int(not found.good)

    _finish(file, work)


@app.command()
def inspect(
    file: File,
    dot: Annotated[Path | None, typer.Option(help="Write the tree for Graphviz (dot -Tsvg).", metavar="OUT")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the tree as a page with a picture, one file.", metavar="OUT")
    ] = None,
    as_json: AsJson = False,
    no_run: Annotated[
        bool, typer.Option("--no-run", help="Load and measure nothing: what pipeline.json and the files say.")
    ] = False,
    device: Device = None,
) -> None:
    """Draw a package's tree: models, classes, sizes, parameters, fields, actions, times.

    Times are medians of passes over 1 and 8 pictures of noise, at the full
    input size, on this machine as it is now.

        detector mpta inspect forecourt.mpta --html forecourt.html
    """
    from rich.console import Console

    from cli.packages import dot as dot_of
    from cli.packages import facts, picture, tree

    def work() -> int:
        threads = ending.settings().torch_threads
        found = facts.gather(file, device=None if no_run else _device(device), threads=threads)
        if dot is not None:
            dot.write_text(dot_of.graph(found), encoding="utf-8")
        if html is not None:
            html.write_text(picture.page(found), encoding="utf-8")
        if as_json:
            typer.echo(json.dumps(found.as_json()))
        else:
            Console().print(tree.drawn(found))
        return 0

    _finish(file, work)


@app.command()
def run(
    file: File,
    source: Annotated[
        str,
        typer.Option(
            help="Number of a webcam, a video, a picture, a folder of pictures, or a camera's URL (rtsp://, http://).",
            metavar="SOURCE",
        ),
    ],
    save: Annotated[
        Path | None,
        typer.Option(help="Write what --show shows: a video (.mp4), for pictures a picture or folder.", metavar="OUT"),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show it on a page of this machine, in the browser; the URL is printed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON for each picture.")] = False,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many pictures.", metavar="N")] = None,
    device: Device = None,
) -> None:
    """Run a package on pictures, a video or a camera, and draw boxes, ids, classes and fields.

    A video is run frame by frame; of a camera it is always the newest picture.
    The package's actions are not done: --json tells what they would have been.
    --show needs no window system: it is a page on a free port of 127.0.0.1.
    Ctrl-C ends it, and what was saved until then is whole.

        detector mpta run forecourt.mpta --source film.mp4 --save seen.mp4

        detector mpta run forecourt.mpta --source rtsp://camera/stream --show
    """
    from cli.packages import running

    def work() -> int:
        wish = running.Wish(save=save, show=show, as_json=as_json, frames=frames, device=_device(device))
        return running.run(file, source, ending.settings(), wish, ending.stop_on_signals())

    _finish(file, work)


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="The folder that holds pipeline.json.", metavar="DIR")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The package to write.", metavar="FILE")],
) -> None:
    """Check a folder and make a package of it; the same folder gives the same bytes.

    Nothing is written when the package would be refused. Files that no
    package needs, such as scripts, stay out.

        detector mpta pack forecourt/ -o forecourt.mpta
    """
    from rich.console import Console

    from cli.packages import findings as findings_of
    from cli.packages import packing
    from cli.packages.texts import file_size, listed

    def work() -> int:
        found, packed = packing.pack(folder, output)
        if packed is None or not found.good:
            findings_of.show(found, Console(stderr=True))
        if packed is None:
            return 1
        if packed.left_out:
            typer.echo(f"left out, nothing reads them: {listed(list(packed.left_out))}", err=True)
        typer.echo(f"{output.name}: {packed.files} files, {file_size(packed.size)}, sha256 {packed.digest}")
        return 0

    _finish(folder, work)


def _loaded(package: mpta.Package, device: str | None) -> mpta.Pipeline:
    from mpta.pipeline import load_models

    return load_models(package, _device(device), threads=ending.settings().torch_threads)


def _device(wanted: str | None) -> str:
    from tasks import gpu

    return gpu.device(wanted or ending.settings().device)


def _finish(file: Path, command: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its status, or with one sentence."""
    import mpta

    try:
        raise typer.Exit(command())
    except (DetectorError, mpta.MptaError) as exc:
        ending.end(str(exc), 1)
    except OSError as exc:
        ending.end(f"{Path(exc.filename).name if exc.filename else file.name}: {exc.strerror or 'cannot be read'}", 1)
