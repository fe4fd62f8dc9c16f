"""`detector cms`: a small CMS that takes commands from a terminal or a script."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Condition, Event, Thread

from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.cms.commands import HELP, BadCommand, message_of, words
from cli.cms.line import Line, Message
from cli.cms.recording import Recorder, read
from cli.cms.wishes import Wishes
from cli.packages.texts import readable
from cli.view import View
from contract.errors import DetectorError
from contract.urls import redact

_CONNECT_S = 3.0
_UNTIL_S = 10.0
#: Looked at a connection so often while waiting for it.
_TICK_S = 0.05


class NoGateway(DetectorError):
    """Nobody answers."""


class NothingCame(DetectorError):
    """What a script waited for did not come."""


def run(url: str, *, token: str | None, record: Path | None, replay: Path | None, fast: bool, as_json: bool) -> int:
    """Replay a conversation if one is given, then obey the lines of stdin until they end, `quit` or Ctrl-C.

    Raises:
        DetectorError: nobody listens, a file is no conversation, or what a script waited for did not come.
    """
    lines, stop = read(replay) if replay else [], Event()
    line = Line(url, {"Authorization": f"Bearer {token}"} if token else None)
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        recorder = stack.enter_context(closing(Recorder(record))) if record else None
        shell = Shell(line, View(readable(redact(url))), recorder, stop, as_json=as_json)
        stack.enter_context(shell.listening(url))
        began_s = time.monotonic()
        for said in lines:
            if not fast:
                stop.wait(max(0.0, began_s + said.at_s - time.monotonic()))
            if said.side == "cms" and not stop.is_set():
                shell.say(said.message)
        shell.obey_all(sys.stdin)
    return 0


class Shell:
    """Says what it is told to say, and shows what comes back."""

    def __init__(self, line: Line, view: View, recorder: Recorder | None, stop: Event, *, as_json: bool) -> None:
        self._line, self._view, self._recorder, self._stop = line, view, recorder, stop
        self._as_json = as_json
        self._reports = as_json
        self._asked = False
        self._viewing = False
        self._wishes = Wishes()
        self._news = Condition()
        #: What came since something was said, or waited for, by type.
        self._counts: dict[str, int] = {}
        self._console = Console(highlight=False, soft_wrap=True)
        self._notes = Console(stderr=True, highlight=False, soft_wrap=True)

    def listening(self, url: str) -> ExitStack:
        """Return a context in which there is a connection.

        Raises:
            NoGateway: nobody answers at `url`.
        """
        thread = Thread(target=self._listen, name="listen", daemon=True)
        thread.start()
        until_s = time.monotonic() + _CONNECT_S
        while self._line.trouble and time.monotonic() < until_s and not self._stop.wait(_TICK_S):
            pass
        if self._line.trouble and not self._stop.is_set():
            self._stop.set()
            raise NoGateway(f"no WebSocket at {readable(redact(url))}: {readable(self._line.trouble, 200)}")
        context = ExitStack()
        context.callback(thread.join, 2.0)
        context.callback(self._stop.set)
        return context

    def _listen(self) -> None:
        for message in self._line.listen(self._wishes.greeting, self._stop, float("inf")):
            if message is None:
                continue
            if self._recorder:
                self._recorder.note("gateway", message)
            self._view.take(message)
            self._show(message)
            with self._news:
                kind = str(message.get("type"))
                self._counts[kind] = self._counts.get(kind, 0) + 1
                self._news.notify_all()

    def say(self, message: Message) -> None:
        """Send a message, now or with the next connection."""
        self._wishes.follow(message)
        self._asked |= message.get("type") == "requestState"
        if self._recorder:
            self._recorder.note("cms", message)
        with self._news:
            self._counts.clear()
        if not self._line.send(message):
            self._note(
                f"no connection ({readable(self._line.trouble)}); subscriptions and sessions follow with the next"
            )

    def obey_all(self, lines: Iterable[str]) -> None:
        """Obey each line; a person is told what was wrong with one, a script ends with it.

        Raises:
            DetectorError: a line of a script was wrong, or what it waited for did not come.
        """
        attended = sys.stdin.isatty()
        if attended:
            self._note("help lists the commands; quit ends")
        for text in lines:
            try:
                if self._stop.is_set() or not self._obey(words(text)):
                    return
            except (BadCommand, NothingCame) as exc:
                if not attended:
                    raise
                self._note(str(exc))

    def _obey(self, given: list[str]) -> bool:
        """Obey one command; return whether to go on."""
        match given:
            case []:
                pass
            case ["quit" | "exit"]:
                return False
            case ["help"]:
                self._note(HELP)
            case ["wait", seconds]:
                self._stop.wait(_seconds(seconds))
            case ["until", kind]:
                self._await(kind, _UNTIL_S)
            case ["until", kind, seconds]:
                self._await(kind, _seconds(seconds))
            case ["reports", "on" | "off" as wanted]:
                self._reports = wanted == "on"
            case ["view"]:
                self._watch()
            case _:
                message = message_of(given)
                if message is None:
                    raise BadCommand(f"no such command: {readable(given[0], 40)}; help lists them")
                self.say(message)
        return True

    def _await(self, kind: str, within_s: float) -> None:
        until_s = time.monotonic() + within_s
        with self._news:
            while not self._counts.pop(kind, 0) and not self._stop.is_set():
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    raise NothingCame(f"no {readable(kind, 40)} within {within_s:g} s")
                self._news.wait(min(left_s, _TICK_S * 4))

    def _watch(self) -> None:
        if not sys.stdout.isatty():
            raise BadCommand("view needs a terminal")
        self._viewing = True
        try:
            with Live(self._view, console=self._console, refresh_per_second=8, screen=True):
                sys.stdin.readline()
        finally:
            self._viewing = False

    def _show(self, message: Message) -> None:
        if self._viewing:
            return
        if message.get("type") == "stateReport":
            if not self._reports and not self._asked:
                return
            self._asked = False
        if self._as_json:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()
        else:
            moment = time.strftime("%H:%M:%S")
            self._console.print(Text.assemble((moment, "dim"), "  ", (_kind(message), "bold"), "  ", _told(message)))

    def _note(self, text: str) -> None:
        self._notes.print(Text(text, style="dim"))


def _kind(message: Message) -> str:
    return readable(str(message.get("type")), 40)


def _told(message: Message) -> str:
    """Return what a message says, in one line that is safe to print."""
    rest = {key: value for key, value in message.items() if key not in ("type", "nodes")}
    data = rest.pop("data", None)
    detection = data.get("detection") if isinstance(data, dict) else None
    said = rest if data is None else rest | {"data": data if detection is None else detection}
    return readable("  ".join(f"{key} {_compact(value)}" for key, value in said.items()), 400)


def _compact(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise BadCommand(f"expected seconds, got {readable(text, 40)}")
    return seconds
