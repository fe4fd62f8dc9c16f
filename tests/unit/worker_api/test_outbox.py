"""What a slow reader is sent, and how fast a CMS may talk."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from contract.subscriptions import Source, Subscription
from worker_api.counters import Counters
from worker_api.late import Late, Mode
from worker_api.limits import TokenBucket
from worker_api.outbox import DETECTIONS, REPLIES, Outbox
from worker_api.routes import Route, Waiting


class Desk:
    """An outbox and the clock that says what is late in it: after ten seconds."""

    def __init__(self, mode: Mode = "patch") -> None:
        self.now_ms = 0
        self.counters = Counters()
        self.outbox = Outbox(self.counters, Late(self.counters, after_s=10, mode=mode, clock=lambda: self.now_ms))
        self.routes: dict[str, Route] = {}

    def route(self, name: str) -> Route:
        """Return the route of a subscription."""
        if name not in self.routes:
            source = Source(url=f"rtsp://{name}/", kind="stream")
            made = Subscription(
                id=name, display="d", camera=name, source=source, model_url="m", model_id=1, model_name="m"
            )
            self.routes[name] = Route(made, self.outbox)
        return self.routes[name]

    def put(self, name: str, number: int, *, session: int | None = None, nothing: bool = False, **fields: Any) -> None:
        """Put a detection that was captured at `number` ms."""
        body = json.dumps({"n": f"{name}{number}", "sessionId": session, "data": {"detection": fields}}).encode()
        item = Waiting(self.route(name), (number, 0), number, nothing, body)
        if self.outbox._late.is_late(number):
            self.outbox.put_late(item)
        else:
            self.outbox.put_detection(item)

    def taken(self) -> list[Any]:
        """Take and confirm all; return names of detections, and patches as (session, fields)."""
        return [self._seen(body) for body in iter(self._pop, None)]

    def _pop(self) -> str | None:
        self.outbox.confirm()
        return self.outbox.pop()

    @staticmethod
    def _seen(body: str) -> Any:
        if not body.startswith("{"):
            return body
        message = json.loads(body)
        return message.get("n") or (message["sessionId"], message["data"]["currentCar"])

    def cursor(self, name: str, relay: int = 10**9) -> int:
        """Return the ms of the first entry that is not settled."""
        route = self.route(name)
        route.resuming = False
        return route.cursor((relay, 0)).next[0]


def test_heartbeats_go_first_then_answers_then_detections() -> None:
    desk = Desk()
    desk.put("a", 1)
    desk.outbox.put_reply("answer 1")
    desk.outbox.put_reply("answer 2")
    desk.outbox.put_heartbeat("old heartbeat")
    desk.outbox.put_heartbeat("heartbeat")

    assert desk.taken() == ["heartbeat", "answer 1", "answer 2", "a1"]


def test_a_reader_that_keeps_up_gets_every_detection_in_order() -> None:
    desk = Desk()
    for number in range(1, 11):
        desk.put("ab"[number % 2], number)

    assert desk.taken() == [f"{'ab'[n % 2]}{n}" for n in range(1, 11)]


def test_the_newest_detection_of_each_subscription_is_kept_for_a_slow_reader() -> None:
    desk = Desk()
    for number in range(DETECTIONS + 1):
        desk.put("ab"[number % 2], number)

    assert desk.taken() == [f"b{DETECTIONS - 1}", f"a{DETECTIONS}"]
    assert desk.counters.replaced == DETECTIONS - 1
    assert sum(route.meter.replaced for route in desk.routes.values()) == DETECTIONS - 1
    assert desk.counters.late_without_session == DETECTIONS - 1


def test_large_detections_are_thinned_sooner() -> None:
    desk = Desk()
    for number in range(40):
        desk.put("a", number, padding="x" * 100_000)

    assert 1 < len(desk.taken()) < 22


def test_what_is_thinned_out_is_a_patch_before_what_is_kept() -> None:
    desk = Desk()
    for number in range(DETECTIONS + 1):
        desk.put("a", number, session=5, carYear=number)

    assert desk.taken() == [(5, {"carYear": DETECTIONS - 1}), f"a{DETECTIONS}"]


def test_late_detections_of_a_session_are_one_patch_the_newest_capture_of_each_field_wins() -> None:
    desk = Desk()
    desk.now_ms = 20_000
    desk.put("b", 3000, session=5, carBrand="Škoda", carModel=None)
    desk.put("a", 1000, session=5, carBrand="Fiat", licensePlateText="AB", colour="red")
    desk.put("a", 2000, session=5, carModel="Panda", bodyType=None)
    desk.put("a", 2500, session=6, carYear=1999)
    desk.put("b", 15_000)
    desk.put("a", 15_000)

    assert desk.taken() == [
        (5, {"carBrand": "Škoda", "carModel": None, "licensePlateText": "AB", "bodyType": None}),
        "b15000",
        (6, {"carYear": 1999}),
        "a15000",
    ]


def test_what_gets_late_while_it_waits_is_counted_for_its_subscription() -> None:
    desk = Desk()
    desk.put("a", 1000)
    desk.put("b", 19_000)
    desk.now_ms = 20_000

    assert desk.taken() == ["b19000"]
    assert {name: route.meter.late for name, route in desk.routes.items()} == {"a": 1, "b": 0}


def test_sessions_7_and_text_7_are_two() -> None:
    desk = Desk()
    desk.now_ms = 20_000
    desk.put("a", 1, session=7, carYear=1)
    desk.put("a", 2, session="7", carYear=2)  # type: ignore[arg-type]
    desk.put("a", 15_000)

    assert desk.taken() == [(7, {"carYear": 1}), ("7", {"carYear": 2}), "a15000"]


def test_why_something_late_is_no_patch_is_counted() -> None:
    desk = Desk()
    desk.now_ms = 20_000
    desk.put("a", 1, carYear=1)
    desk.put("a", 2, session=5, colour="red")
    desk.put("a", 3, session=5, nothing=True)
    desk.put("a", 4, session=5, carYear=1)
    other = Desk("none")
    other.now_ms = 20_000
    other.put("a", 1, session=5, carYear=1)

    counted = desk.counters
    assert (counted.late_without_session, counted.late_without_fields, counted.late_nothing) == (1, 1, 1)
    assert (counted.late_patched, other.counters.late_not_sent) == (1, 1)
    assert other.taken() == []


def test_all_means_that_late_detections_are_sent() -> None:
    desk = Desk("all")
    desk.now_ms = 20_000
    desk.put("a", 1)

    assert desk.taken() == ["a1"]


def test_what_gets_late_while_it_waits_is_not_sent_as_live() -> None:
    desk = Desk()
    desk.put("a", 1, session=5, carYear=1)
    desk.put("a", 9000)
    desk.now_ms = 12_000

    assert desk.taken() == [(5, {"carYear": 1}), "a9000"]


def test_that_nothing_is_seen_is_said_again_if_it_was_not_sent_after_all() -> None:
    desk = Desk()
    desk.put("a", 1, nothing=True)
    route = desk.route("a")
    assert route.nothing
    desk.now_ms = 12_000

    assert desk.taken() == []
    assert not route.nothing


def test_a_cursor_stays_before_what_was_not_sent() -> None:
    desk = Desk()
    desk.now_ms = 15_000
    desk.put("a", 1000, session=5, carYear=1)
    desk.put("a", 6000)
    desk.put("a", 7000)
    before = desk.cursor("a")
    desk.outbox.pop()
    unconfirmed = desk.cursor("a")
    desk.outbox.confirm()
    patched = desk.cursor("a")

    desk.taken()

    assert (before, unconfirmed, patched, desk.cursor("a")) == (1000, 1000, 6000, 10**9)
    assert desk.route("a").cursor((0, 0)).captured_ms == 7000


def test_a_patch_waits_for_the_rest_of_a_replay() -> None:
    async def story() -> tuple[str | None, str | None]:
        desk = Desk()
        desk.now_ms = 20_000
        desk.outbox.resuming.add(desk.route("a"))
        desk.put("a", 1, session=5, carYear=1)
        assert desk.outbox.pop() is None
        waiting = asyncio.create_task(desk.outbox.filled())
        await asyncio.sleep(0.6)
        assert not waiting.done()
        held = desk.outbox.pop()
        desk.outbox.end_resuming(desk.route("a"))
        await asyncio.wait_for(waiting, 1)
        return held, desk.outbox.pop()

    held, sent = asyncio.run(story())
    assert held is None
    assert sent == '{"type":"patchSession","sessionId":5,"data":{"currentCar":{"carYear":1}}}'


def test_a_patch_of_what_falls_behind_waits_a_moment_for_more() -> None:
    async def story() -> str | None:
        desk = Desk()
        desk.now_ms = 20_000
        desk.put("a", 1, session=5, carYear=1)
        assert desk.outbox.pop() is None
        await asyncio.wait_for(desk.outbox.filled(), 1)
        return desk.outbox.pop()

    assert asyncio.run(story())


def test_what_was_another_connections_in_the_meantime_is_not_sent() -> None:
    desk = Desk()
    desk.put("a", 1)
    desk.put("b", 2)
    desk.route("a").alive = False

    assert desk.taken() == ["b2"]


def test_answers_are_bounded_and_the_oldest_go() -> None:
    desk = Desk()
    for number in range(3 * REPLIES):
        desk.outbox.put_reply(str(number))

    assert desk.outbox.pop() == str(REPLIES)
    assert desk.counters.pushed_out == REPLIES


def test_there_is_room_again_once_answers_were_taken() -> None:
    async def story() -> tuple[bool, bool]:
        outbox = Desk().outbox
        for number in range(REPLIES):
            outbox.put_reply(str(number))
        waiting = asyncio.create_task(outbox.room())
        await asyncio.sleep(0)
        before = waiting.done()
        outbox.pop()
        await asyncio.wait_for(waiting, 1)
        return before, waiting.done()

    assert asyncio.run(story()) == (False, True)


def test_a_replay_waits_for_its_reader_but_not_for_ever() -> None:
    async def story() -> tuple[bool, bool, bool]:
        desk = Desk()
        for number in range(DETECTIONS // 2 + 1):
            desk.put("a", number)
        crowded = desk.outbox.crowded
        first = await desk.outbox.drained(0.01)
        desk.taken()
        return crowded, first, await desk.outbox.drained(0.01)

    assert asyncio.run(story()) == (True, False, True)


def test_a_writer_wakes_for_what_is_put_and_sleeps_when_all_is_taken() -> None:
    async def story() -> str | None:
        outbox = Desk().outbox
        assert outbox.pop() is None
        waiting = asyncio.create_task(outbox.filled())
        await asyncio.sleep(0)
        assert not waiting.done()
        outbox.put_heartbeat("heartbeat")
        await asyncio.wait_for(waiting, 1)
        return outbox.pop()

    assert asyncio.run(story()) == "heartbeat"


def test_the_pace_is_a_mean_over_ten_seconds() -> None:
    pace = TokenBucket(rate=2, now_s=100.0)

    assert sum(pace.take(100.0) for _ in range(50)) == 20
    assert not pace.take(100.4)
    assert pace.take(101.0)
    assert sum(pace.take(1000.0) for _ in range(50)) == 20
