"""One batch: claims → newest frames → pictures → the tree → what to write."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import mpta
from contract import sessions
from contract.frames import Frame
from contract.keys import Cam
from contract.problems import Code
from contract.sessions import Changes
from contract.subscriptions import GroupPlan, Wanted
from contract.work import Claim, Finished
from mpta.manifest import Manifest
from tasks import events, messages, pictures

log = logging.getLogger(__name__)

#: What untrusted model code may raise on a picture: the frame is lost, the worker is not.
MODEL_FAULTS = (mpta.MptaError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Pipeline(Protocol):
    """What a worker needs of a loaded package.

    Attributes:
        manifest: its tree, its actions' target, and what of it is off.
    """

    manifest: Manifest

    @property
    def digest(self) -> str:
        """Names the content of the package."""
        ...

    @property
    def weights(self) -> Sequence[mpta.Weights]:
        """What it holds in memory, alone or with others."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What is odd in the package, but runs."""
        ...

    def run(self, frames: Sequence[mpta.Frame]) -> Sequence[mpta.Result]:
        """Return one result per frame, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed group that has a frame to look at."""

    claim: Claim
    plan: GroupPlan
    frame: Frame
    image: pictures.Image

    def input(self) -> mpta.Frame:
        """Return what the pipeline is given."""
        return mpta.Frame(
            image=self.image, crop=self.plan.crop, tracks=self.claim.tracks, captured_ms=self.frame.captured_ms
        )


@dataclass(frozen=True, slots=True)
class Batch:
    """Computes batches of one pipeline.

    Attributes:
        read: newest frames of the cameras, None where there is no fresh one.
        sessions: of these displays, as they are known now. Asked when the pipeline has run: what was set before a frame
            was captured is known by then.
        failed: told of each group whose picture, crop or pipeline failed, with a sentence.
        act: handed what results with actions ask for.
    """

    pipeline: Pipeline
    read: Callable[[Sequence[Cam]], Sequence[Frame | None]]
    sessions: Callable[[Collection[str]], Mapping[str, Changes]]
    failed: Callable[[GroupPlan, Code, str], None]
    act: Callable[[events.Job], None]

    def compute(self, claims: Sequence[Claim], wanted: Wanted) -> list[Finished]:
        """Return one `Finished` per claim; a group without subscribers, frame or result has nothing to say."""
        jobs = self._jobs(claims, wanted)
        computed = {job.claim.group: finished for job, finished in self._run(jobs)}
        return [computed.get(claim.group) or _passed(claim) for claim in claims]

    def _jobs(self, claims: Sequence[Claim], wanted: Wanted) -> list[Job]:
        plans = {claim.group: plan for claim in claims if (plan := wanted.groups.get(claim.group))}
        cams = list({plan.cam for plan in plans.values()})
        newest = dict(zip(cams, self.read(cams), strict=True)) if cams else {}
        decoded: dict[Cam, pictures.Image | None] = {}
        jobs = []
        for claim in claims:
            plan = plans.get(claim.group)
            frame = newest.get(plan.cam) if plan else None
            if plan is None or frame is None or frame.seq <= claim.done:
                continue
            if plan.cam not in decoded:
                decoded[plan.cam] = pictures.decode(frame.jpeg)
            image = decoded[plan.cam]
            if image is None:
                self.failed(plan, Code.MODEL_FAILED, "the camera's picture cannot be decoded as JPEG")
                continue
            first = plan.subscriptions[0]
            image = pictures.orient(image, first.rotate, first.mirror)
            height, width = image.shape[:2]
            if plan.crop is not None and (plan.crop[0] >= width or plan.crop[1] >= height or min(plan.crop[2:]) <= 0):
                self.failed(
                    plan, Code.BAD_CROP, f"nothing of the crop is inside the picture of {width}x{height} pixels"
                )
                continue
            jobs.append(Job(claim, plan, frame, image))
        return jobs

    def _run(self, jobs: Sequence[Job]) -> list[tuple[Job, Finished]]:
        if not jobs:
            return []
        try:
            results = self.pipeline.run([job.input() for job in jobs])
        except MODEL_FAULTS as exc:
            return self._run_alone(jobs, exc)
        histories = self.sessions({s.display for job in jobs for s in job.plan.subscriptions})
        return [(job, self._finished(job, result, histories)) for job, result in zip(jobs, results, strict=True)]

    def _run_alone(self, jobs: Sequence[Job], fault: Exception) -> list[tuple[Job, Finished]]:
        """One frame that the model cannot take must not cost the others their results."""
        if len(jobs) > 1:
            return [done for job in jobs for done in self._run([job])]
        log.warning("camera %s: the pipeline failed (%s: %s)", jobs[0].plan.cam, type(fault).__name__, fault)
        self.failed(
            jobs[0].plan, Code.MODEL_FAILED, f"the pipeline failed on this camera's picture ({type(fault).__name__})"
        )
        return []

    def _finished(self, job: Job, result: mpta.Result, histories: Mapping[str, Changes]) -> Finished:
        seq, captured_ms = job.frame.seq, job.frame.captured_ms
        viewers = tuple(
            (subscription, sessions.at(histories.get(subscription.display, ()), captured_ms))
            for subscription in job.plan.subscriptions
        )
        if result.events:
            self.act(events.Job(result.events, viewers, captured_ms))
        entries = tuple(
            messages.entry(subscription, seq, captured_ms, session, result.detection)
            for subscription, session in viewers
        )
        return Finished(job.claim.group, job.frame.seq, result.tracks, entries)


def _passed(claim: Claim) -> Finished:
    """Nothing to say about what was seen up to the claim: it is done, and its tracks stand."""
    return Finished(claim.group, claim.seen, claim.tracks)
