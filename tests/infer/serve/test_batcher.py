"""Items that are there at the same time share a batch; none is lost, mixed up or made to wait for long."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from infer.serve.batcher import Batcher


def run_all(
    items: Sequence[int], function: Callable[[Sequence[int]], list[int]], **settings: float
) -> list[int | BaseException]:
    """The answers for items that are submitted at the same time."""

    async def submit() -> list[int | BaseException]:
        with ThreadPoolExecutor(2) as executor:
            batcher = Batcher(function, executor, **{"max_batch": 4, "max_delay": 0.01, **settings})
            answers = await asyncio.gather(*map(batcher.submit, items), return_exceptions=True)
            await batcher.close()
        return answers

    return asyncio.run(submit())


def test_each_item_gets_its_own_answer_and_batches_are_full() -> None:
    batches: list[list[int]] = []

    def double(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        return [2 * item for item in batch]

    assert run_all(range(10), double) == [2 * item for item in range(10)]
    assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_an_item_alone_waits_no_longer_than_the_delay() -> None:
    start = time.perf_counter()
    assert run_all([1], list, max_delay=0.05) == [1]
    assert 0.04 < time.perf_counter() - start < 2


def test_a_full_batch_waits_for_nothing() -> None:
    start = time.perf_counter()
    assert run_all(range(4), list, max_delay=60) == [0, 1, 2, 3]
    assert time.perf_counter() - start < 5


def test_a_batch_that_fails_costs_the_others_nothing() -> None:
    def fail_at_first(batch: Sequence[int]) -> list[int]:
        if 0 in batch:
            raise ValueError("broken")
        return list(batch)

    answers = run_all(range(6), fail_at_first)
    assert [str(answer) for answer in answers] == ["broken"] * 4 + ["4", "5"]


def test_two_batches_run_at_the_same_time_where_the_device_can() -> None:
    both = threading.Barrier(2, timeout=10)

    def meet(batch: Sequence[int]) -> list[int]:
        both.wait()
        return list(batch)

    assert run_all(range(8), meet, at_once=2) == list(range(8))


def test_an_item_that_was_given_up_is_not_run() -> None:
    ran: list[int] = []

    async def submit() -> None:
        with ThreadPoolExecutor(1) as executor:
            batcher = Batcher(lambda batch: ran.extend(batch) or list(batch), executor, 4, 0.05)
            first, second = (asyncio.create_task(batcher.submit(item)) for item in (1, 2))
            await asyncio.sleep(0.001)
            first.cancel()
            assert await second == 2
            with pytest.raises(asyncio.CancelledError):
                await first
            await batcher.close()

    asyncio.run(submit())
    assert 2 in ran
