"""`python docs/conversation.py`: hold the conversation of `protocol.md` anew, with the whole system and a camera."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from cli import embedded, stack
from cli.cms.recording import Said, read
from cli.demo import PACKAGE
from contract import settings
from contract.settings import PREFIX
from simulator.cameras import Cameras

PAGE = Path(__file__).parent / "protocol.md"
BEGIN, END = "<!-- the conversation: python docs/conversation.py -->", "<!-- its end -->"
#: What the reader sees instead of the machine that this ran on.
CAMERA = "rtsp://camera.example/cam1"
SCRIPT = """\
until stateReport
session pump-1 12345
subscribe pump-1 cam1 forecourt.mpta {camera} modelId=101 modelName=forecourt fps=2 \
cropX1=0 cropY1=0 cropX2=1280 cropY2=700
until imageDetection 60
until imageDetection 60
until imageDetection 60
until stateReport
subscribe kiosk cam1 forecourt.mpta gopher://camera
until error
send {{"type": "patchSession", "sessionId": 12345, "data": {{"currentCar": {{"carBrand": "Honda"}}}}}}
until patchSessionResult
send {{"type": "setSubscriptions", "payload": {{"subscriptions": []}}}}
until subscriptionsSet
until stateReport
"""


def held(folder: Path) -> list[Said]:
    """Hold the conversation; return what was said."""
    own = {"PORT": embedded.free_port(), "FLOWER": "false", "DATA_DIR": folder, "MODEL_DIRS": PACKAGE.parent}
    os.environ.update({f"{PREFIX}{name}": str(value) for name, value in own.items()})
    file = folder / "conversation.jsonl"
    with (
        Cameras() as cameras,
        (folder / "log").open("wb") as log,
        stack.running(settings.load(), durable=False, output=log, home=folder) as system,
    ):
        stack.wait_until_ready(system, Event())
        command = [sys.executable, "-m", "cli.main", "cms", f"{system.url('ws')}/", "--record", str(file)]
        script = SCRIPT.format(camera=cameras.urls["cam1"])
        subprocess.run(command, input=script, text=True, check=True, stdout=subprocess.DEVNULL)
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(cameras.urls["cam1"], CAMERA).replace(socket.gethostname(), "host-1"))
    return read(file)


def told(lines: list[Said]) -> list[Said]:
    """Return what is worth a reader's time: of what comes again and again, what is new in it."""
    seen: set[str] = set()
    worth = []
    for line in lines:
        news = json.dumps(_news(line.message), sort_keys=True)
        if line.side == "cms" or news not in seen:
            worth.append(line)
        seen.add(news)
    return worth


def _news(message: dict[str, Any]) -> Any:
    if message["type"] == "stateReport":
        return [(c["subscriptionIdentifier"], c["online"]) for c in message["cameraConnections"]]
    if message["type"] == "imageDetection":
        return ["imageDetection", sorted(message["data"]["detection"])]
    return message


def written(lines: list[Said]) -> str:
    """Return the conversation as a block of Markdown. Reports have one node here, for brevity."""
    rows = []
    for line in lines:
        message = line.message
        if "nodes" in message:
            message = message | {"nodes": message["nodes"][:1]}
        arrow = "CMS →" if line.side == "cms" else "    ←"
        rows.append(f"{line.at_s:7.3f}  {arrow}  {json.dumps(message, ensure_ascii=False)}")
    return "\n".join(["```text", *rows, "```"])


def main() -> None:
    """Write it into `docs/protocol.md`."""
    with TemporaryDirectory(prefix="detector-") as folder:
        block = written(told(held(Path(folder))))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
