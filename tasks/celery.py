"""The worker's Celery application: `celery -A tasks worker` finds `app` here."""

import functools
import sys

from contract import settings
from contract.errors import SettingsInvalid
from tasks.detect import worker_app
from tasks.runtime import Runtime

try:
    settings.load()
except SettingsInvalid as exc:
    # Here and not where it is first used: Celery would show it at the end of its own stack trace.
    sys.stderr.write(f"{exc}\n")
    sys.exit(2)

app = worker_app(functools.cache(lambda: Runtime(settings.load())))
