"""Every Celery setting, each with its reason. Used by workers (`celery -A tasks worker`), capture and Flower alike.

A message is a wake-up ("pipeline P has work"), never a frame: losing one costs half a second, a late one is harmless.
"""

from typing import Any
from urllib.parse import urlsplit

from contract import settings as _settings

_set = _settings.load()


def _kombu(url: str) -> str:
    """Return `url` as kombu spells it: a socket file is `redis+socket://`, and TLS checks the server's certificate."""
    if url.startswith("unix://"):
        return "redis+socket://" + url.removeprefix("unix://").replace("db=", "virtual_host=")
    if url.startswith("rediss://") and "ssl_cert_reqs" not in url:
        return url + ("&" if urlsplit(url).query else "?") + "ssl_cert_reqs=required"
    return url


broker_url = _kombu(_set.broker)

# A broker that is away is waited for, at start as later, for ever: the camera does not stop being interesting.
broker_connection_retry_on_startup = True
broker_connection_retry = True
broker_connection_max_retries = None
broker_connection_timeout = 4

broker_transport_options: dict[str, Any] = {
    # Without these a link that goes silent (no FIN, no RST) hangs the worker for ever: measured. With them: 11 s.
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 5,
    # A wake-up that a killed worker held returns after this; by then newer ones have done its work.
    "visibility_timeout": 60,
    "global_keyprefix": f"{_set.key_prefix}cq:",
    "client_name": "detector-celery",
}

# One queue that every worker serves; `-Q` with `task_routes` gives a pipeline a queue of its own where that is wanted.
task_default_queue = "detect"
# The gateway's stream holds the results, so there is nothing for a result backend to do.
task_ignore_result = True
task_store_errors_even_if_ignored = False
# Early: a redone wake-up would find the work done. A lease that runs out brings a lost batch back, not the broker.
task_acks_late = False
# A wake-up belongs to whichever worker is free now.
worker_prefetch_multiplier = 1
# Nothing that can run code on unpacking crosses a process border.
task_serializer = "json"
accept_content = ["json"]
result_serializer = "json"
enable_utc = True

# Threads: one copy of each model per process, one CUDA context, and pings answered while a batch computes.
worker_pool = "threads"
worker_concurrency = 4
# Flower shows the `detect` tasks. Paid per turn of work, not per frame: a busy worker makes two turns a second.
worker_send_task_events = True
task_send_sent_event = False
# Our own logging: one format for all processes, with URLs' secrets removed.
worker_hijack_root_logger = False
worker_redirect_stdouts = False
