"""Dynamic batching: images that are ready at about the same time are run together."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
A = TypeVar("A")


@dataclass
class _Waiting(Generic[T, A]):
    item: T
    answer: "asyncio.Future[A]"
    since: float
    """By the event loop's clock."""


class Batcher(Generic[T, A]):
    """Runs a function on batches of items. For the thread of the event loop in which it is made."""

    def __init__(
        self,
        run: Callable[[Sequence[T]], Sequence[A]],
        executor: Executor,
        max_batch: int,
        max_delay: float,
        at_once: int = 1,
    ) -> None:
        """Begin to wait for items.

        Args:
            run: gives an answer for each item; it is called in the executor.
            executor: has a thread for each batch that is run at the same time.
            max_batch: the most items in a batch.
            max_delay: seconds that a batch waits, from its first item on, to be filled.
            at_once: the number of batches that are run at the same time.
        """
        self._run, self._executor, self._max_batch, self._max_delay = run, executor, max_batch, max_delay
        self._waiting: deque[_Waiting[T, A]] = deque()
        self._arrived = asyncio.Event()
        self._turn = asyncio.Lock()
        self._tasks = [asyncio.create_task(self._work()) for _ in range(at_once)]

    async def submit(self, item: T) -> A:
        """The answer for an item. Raises what the function raised for its batch."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting[T, A] = _Waiting(item, loop.create_future(), loop.time())
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def close(self) -> None:
        """Stop; items that wait are dropped."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        """Collect a batch, run it, and answer, again and again."""
        while True:
            async with self._turn:  # one batch is filled at a time
                batch = await self._next_batch()
            try:
                items = [waiting.item for waiting in batch]
                answers = await asyncio.get_running_loop().run_in_executor(self._executor, self._run, items)
            except Exception as error:  # noqa: BLE001  # each of the batch gets it, and the next batch is run
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            for waiting, answer in zip(batch, answers, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(answer)

    async def _next_batch(self) -> list[_Waiting[T, A]]:
        """Wait for an item, and then for others until the batch is full or late; items given up are left out."""
        batch: list[_Waiting[T, A]] = []
        while len(batch) < self._max_batch:
            if self._waiting:
                waiting = self._waiting.popleft()
                if not waiting.answer.done():
                    batch.append(waiting)
                continue
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(batch[0].since + self._max_delay if batch else None):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return batch
