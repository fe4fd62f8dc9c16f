"""The worker's Celery application: `celery -A tasks worker` finds `app` here."""

import functools

from contract import settings
from tasks.detect import worker_app
from tasks.runtime import Runtime

app = worker_app(functools.cache(lambda: Runtime(settings.load())))
