"""The one task: answer a wake-up."""

from __future__ import annotations

from celery import shared_task

from contract.keys import PipelineId
from tasks import runtime


# No retry: the work is in Redis, not in the message, and a newer frame will have arrived by then.
@shared_task(name="detect", ignore_result=True, max_retries=0)
def detect(pipeline: str) -> str:
    """Work on a pipeline's ready groups while there are any, for at most half a second; return what was done."""
    return runtime.current().work(PipelineId(pipeline))
