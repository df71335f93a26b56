"""Background work: its pace, its retries after errors and outages, and its end."""

import asyncio
import time
from itertools import pairwise

from prometheus_client import REGISTRY

from ticketing_common import background
from ticketing_common.background import cancel_and_wait, repeat


def count_failures(job):
    return REGISTRY.get_sample_value("ticketing_background_job_failures_total", {"task": job})


async def test_failing_step_is_retried_with_back_off_and_counted(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.02)
    monkeypatch.setattr(background, "_LONGEST_BACK_OFF", 0.08)
    stopping, starts = asyncio.Event(), []

    async def fail():
        starts.append(time.monotonic())
        if len(starts) == 5:
            stopping.set()
        raise RuntimeError("a bug")

    await asyncio.wait_for(repeat(fail, stopping, name="failing"), 20)
    pauses = [second - first for first, second in pairwise(starts)]
    assert all(pause >= least for pause, least in zip(pauses, [0.02, 0.04, 0.08, 0.08], strict=True))
    assert count_failures("failing") == 5


async def test_back_off_starts_again_after_a_step_that_ran_for_long(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.01)
    monkeypatch.setattr(background, "_LONGEST_BACK_OFF", 0.2)
    stopping, delays = asyncio.Event(), []
    monkeypatch.setattr(background.log, "exception", lambda *_, seconds, **__: delays.append(seconds))

    async def fail():
        if len(delays) == 3:
            await asyncio.sleep(0.3)
        if len(delays) == 4:
            stopping.set()
        raise RuntimeError("a bug")

    await asyncio.wait_for(repeat(fail, stopping, name="recovering"), 20)
    assert delays[:4] == [0.01, 0.02, 0.04, 0.01]


async def test_stop_interrupts_the_back_off(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 60.0)
    monkeypatch.setattr(background, "_LONGEST_BACK_OFF", 60.0)
    stopping = asyncio.Event()

    async def fail():
        raise RuntimeError("a bug")

    repeating = asyncio.create_task(repeat(fail, stopping, name="stopping"))
    await asyncio.sleep(0.05)
    stopping.set()
    await asyncio.wait_for(repeating, 5)


async def test_back_off_starts_again_after_a_step_that_succeeded(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.01)
    delays = []
    monkeypatch.setattr(background.log, "exception", lambda *_, seconds, **__: delays.append(seconds))
    stopping, results = asyncio.Event(), [RuntimeError(), RuntimeError(), None, RuntimeError()]

    async def step():
        result = results.pop(0)
        if not results:
            stopping.set()
        if result:
            raise result

    await asyncio.wait_for(repeat(step, stopping, name="recovered"), 20)
    assert delays == [0.01, 0.02, 0.01]


async def test_back_off_is_at_most_the_given_one(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.01)
    delays = []
    monkeypatch.setattr(background.log, "exception", lambda *_, seconds, **__: delays.append(seconds))
    stopping = asyncio.Event()

    async def fail():
        if len(delays) == 3:
            stopping.set()
        raise RuntimeError("a bug")

    await asyncio.wait_for(repeat(fail, stopping, name="capped", longest_back_off=0.02), 20)
    assert delays == [0.01, 0.02, 0.02, 0.02]


async def test_outage_is_logged_once_retried_at_the_same_pace_and_not_counted_as_a_failure(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 60.0)  # a back-off would exceed the time-out below
    stopping, starts, warnings = asyncio.Event(), [], []
    monkeypatch.setattr(background.log, "warning", lambda message, **fields: warnings.append(fields))
    results = [*[ConnectionError("first outage")] * 3, None, *[ConnectionError("second outage")] * 2]

    async def step():
        starts.append(time.monotonic())
        result = results.pop(0)
        if not results:
            stopping.set()
        if result:
            raise result

    repeating = repeat(step, stopping, name="waiting", every=0.05, outages=(ConnectionError,))
    await asyncio.wait_for(repeating, 20)
    assert len(starts) == 6
    assert all(second - first >= 0.05 for first, second in pairwise(starts))
    assert warnings == [
        {"job": "waiting", "reason": "ConnectionError('first outage')"},
        {"job": "waiting", "reason": "ConnectionError('second outage')"},
    ]
    assert count_failures("waiting") is None


async def test_error_that_is_not_an_outage_is_counted_as_a_failure(monkeypatch):
    monkeypatch.setattr(background, "_SHORTEST_BACK_OFF", 0.01)
    stopping = asyncio.Event()

    async def fail():
        stopping.set()
        raise RuntimeError("a bug")

    await asyncio.wait_for(repeat(fail, stopping, name="broken", outages=(ConnectionError,)), 20)
    assert count_failures("broken") == 1


async def test_task_ends_even_if_an_answer_arrives_with_its_cancellation():
    answers = []

    async def ask_repeatedly():
        while True:
            answers.append(asyncio.get_running_loop().create_future())
            await asyncio.wait_for(answers[-1], 60)

    asking = asyncio.create_task(ask_repeatedly())
    await asyncio.sleep(0)
    answers[0].set_result(None)
    async with asyncio.timeout(5):
        await cancel_and_wait(asking)
    assert asking.cancelled()


async def test_task_that_has_ended_keeps_its_result():
    async def fail():
        raise RuntimeError

    ended = asyncio.create_task(fail())
    await asyncio.wait({ended})
    await cancel_and_wait(ended)
    assert isinstance(ended.exception(), RuntimeError)
