"""What this gateway has done since it started, as `GET /metrics` shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from worker_api.exposition import Family


def _count(about: str) -> int:
    return field(default=0, metadata={"about": about})


@dataclass(slots=True)
class Counters:
    """Counts, each named as it is shown after `detector_gateway_`, and what it counts."""

    relayed: int = _count("Results sent to CMSs.")
    nothing_suppressed: int = _count("Results not sent because nothing is seen, as before.")
    out_of_order: int = _count("Results not sent because they were older than one that was.")
    replaced: int = _count("Results replaced by newer ones because their CMS read too slowly.")
    pushed_out: int = _count("Answers and errors given up because their CMS read too slowly.")
    late_patched: int = _count("Late results that became part of a patchSession.")
    late_without_session: int = _count("Late results not sent: their display had no session.")
    late_without_fields: int = _count("Late results not sent: nothing in them is for a session.")
    late_nothing: int = _count("Late results not sent: nothing was seen.")
    late_not_sent: int = _count("Late results not sent, as DETECTOR_REPLAY says.")
    replayed: int = _count("Results read again for CMSs that came back.")
    results_lost: int = _count("Gaps in results that could not be replayed.")
    errors_sent: int = _count("Errors sent to CMSs.")
    messages_received: int = _count("Messages of CMSs.")
    messages_refused: int = _count("Messages of CMSs that were not obeyed.")
    entries_unreadable: int = _count("Entries of the streams that could not be read.")
    patches_sent: int = _count("Messages patchSession sent to CMSs.")
    patch_results: int = _count("Answers of CMSs to patchSession.")
    patch_failures: int = _count("Answers of CMSs to patchSession that tell of a failure.")
    refused_token: int = _count("Entries refused: no valid token.")
    refused_origin: int = _count("Entries refused: a web page of another origin.")
    refused_full: int = _count("Entries refused: too many connections.")

    def families(self, **gauges: tuple[float, str]) -> Iterator[Family]:
        """Yield counters, then `gauges`: value and what it is."""
        for each in fields(self):
            yield Family(
                f"detector_gateway_{each.name}_total",
                "counter",
                each.metadata["about"],
                [({}, getattr(self, each.name))],
            )
        for name, (value, about) in gauges.items():
            yield Family(f"detector_gateway_{name}", "gauge", about, [({}, value)])
