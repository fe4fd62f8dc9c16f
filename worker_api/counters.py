"""What this gateway has done since it started, as `GET /metrics` shows it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counters:
    """Counts, each named as it is shown after `detector_gateway_`."""

    relayed: int = 0
    nothing_suppressed: int = 0
    out_of_order: int = 0
    replaced: int = 0
    pushed_out: int = 0
    late_patched: int = 0
    late_without_session: int = 0
    late_without_fields: int = 0
    late_nothing: int = 0
    late_not_sent: int = 0
    replayed: int = 0
    results_lost: int = 0
    errors_sent: int = 0
    messages_received: int = 0
    messages_refused: int = 0
    entries_unreadable: int = 0
    patches_sent: int = 0
    patch_results: int = 0
    patch_failures: int = 0
    refused_token: int = 0
    refused_origin: int = 0
    refused_full: int = 0

    def exposition(self, **gauges: float) -> str:
        """Return counters and `gauges` in the Prometheus text format."""
        lines = []
        for field in fields(self):
            name = f"detector_gateway_{field.name}_total"
            lines += [f"# TYPE {name} counter", f"{name} {getattr(self, field.name)}"]
        for gauge, value in gauges.items():
            lines += [f"# TYPE detector_gateway_{gauge} gauge", f"detector_gateway_{gauge} {value}"]
        return "\n".join(lines) + "\n"
