"""One package that a worker was asked for: what of it is here, what went wrong, when to look again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from contract.backoff import backoff
from contract.keys import PipelineId
from contract.problems import Code
from tasks.batch import Pipeline
from tasks.fetching import name_of

_FIRST_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Trouble:
    """What those who asked for a package must be told, in words fit for a CMS.

    Attributes:
        about: tells one trouble of its code from the next: each is told.
    """

    code: Code
    text: str
    about: str = ""


@dataclass(slots=True, eq=False)
class Held:
    """The state of one package; times are monotonic seconds.

    Attributes:
        pipeline: what runs now.
        content: what `pipeline` was loaded from, as `Fetched` names it.
        refused: content that can never be loaded.
        busy: it is being looked at, or loaded.
        asleep: unloaded to make room, until somebody asks for it.
        due_s: when to look at its address again.
        said: the failure that was logged last.
    """

    id: PipelineId
    url: str
    longest_retry_s: float
    pipeline: Pipeline | None = None
    content: str = ""
    refused: str = ""
    trouble: Trouble | None = None
    busy: bool = False
    asleep: bool = False
    due_s: float = 0.0
    used_s: float = -math.inf
    wanted_s: float = 0.0
    said: str = ""
    _waits: Iterator[float] | None = None

    @property
    def name(self) -> str:
        """What logs call it."""
        return name_of(self.url)

    @property
    def version(self) -> str:
        """What tells the running version from others, short."""
        return self.pipeline.digest[:12] if self.pipeline is not None else ""

    def ran(self, pipeline: Pipeline, content: str, due_s: float) -> None:
        """Note that `pipeline` runs from now on."""
        self.pipeline, self.content = pipeline, content
        self.trouble, self.refused, self.said, self._waits = None, "", "", None
        self.busy, self.asleep, self.due_s = False, False, due_s

    def failed(self, trouble: Trouble, now_s: float) -> None:
        """Note why nothing new runs; what ran before goes on, and only a broken version of it is worth telling."""
        self.busy, self.asleep = False, False
        self.due_s = now_s + self._wait_s()
        if self.pipeline is None:
            self.trouble = replace(trouble, about="")  # As long as it is not here, that is one trouble.
        elif trouble.code == Code.MODEL_INVALID:
            text = f"the new version of the model package cannot be used, the one before keeps running: {trouble.text}"
            self.trouble = Trouble(trouble.code, text, trouble.about)

    def slept(self) -> None:
        """Note that it was unloaded."""
        self.pipeline, self.content, self.asleep = None, "", True

    def _wait_s(self) -> float:
        self._waits = self._waits or backoff(_FIRST_RETRY_S, longest_s=self.longest_retry_s)
        return min(next(self._waits), self.longest_retry_s)


def memory(helds: Iterable[Held]) -> int:
    """Return the bytes that their weights take; what several share counts once."""
    pipelines = [held.pipeline for held in helds if held.pipeline is not None]
    return sum({weights: weights.size_bytes for pipeline in pipelines for weights in pipeline.weights}.values())
