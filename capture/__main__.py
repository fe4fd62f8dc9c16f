"""`python -m capture`: one capture daemon, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

from capture.daemon import Daemon
from contract import clients, settings
from contract.errors import SettingsInvalid
from contract.keys import Keys
from contract.logs import configure

_NAME = "capture"
#: The end comes within this, even when a server or a camera holds a thread.
_END_S = 7.5


def main() -> int:
    """Run the daemon; return the exit status: 0 when told to stop, 2 when a setting makes no sense."""
    try:
        read = settings.load()
    except SettingsInvalid as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    configure(read, _NAME)
    # Not before the settings are known to be good: celeryconfig reads them too.
    from capture.isolation import Cells, cell

    stop = threading.Event()

    def told_to_stop(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        # Threads that cannot be ended (a decoder, a server that is away) must not keep the process.
        last = threading.Timer(_END_S, os._exit, (0,))
        last.daemon = True
        last.start()

    signal.signal(signal.SIGTERM, told_to_stop)
    signal.signal(signal.SIGINT, told_to_stop)
    size = read.capture_cell_size
    cells = Cells(read, size) if size else cell(read)
    Daemon(read, clients.connect(read.state, _NAME), Keys(read.key_prefix), cells).run(stop)
    logging.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
