"""`python -m simulator`: serve the demo's cameras."""

from __future__ import annotations

import argparse
from pathlib import Path

from simulator.cameras import DEFAULT_FPS, DEFAULT_HTTP_PORT, DEFAULT_RTSP_PORT, DEFAULT_SEED, run


def main() -> int:
    """Read the command line and serve until a signal; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Serve simulated forecourt cameras.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--rtsp-port", type=int, default=DEFAULT_RTSP_PORT, help="0 picks a free one (%(default)s)")
    parser.add_argument("--http-port", type=int, default=DEFAULT_HTTP_PORT, help="0 picks a free one (%(default)s)")
    parser.add_argument("--fps", type=int, default=DEFAULT_FPS, help="frames per second (%(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="how many cameras (%(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="of the first camera's scene (%(default)s)")
    parser.add_argument("--truth-dir", type=Path, help="write the truth there as JSON lines")
    return run(**vars(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
