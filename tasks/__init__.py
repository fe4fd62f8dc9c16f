"""Celery workers: claim ready groups, run the pipeline tree on their newest frames, append the results.

`celery -A tasks worker` finds its application in `tasks.celery`.
"""
