"""The service behind the routes: accepts images, decodes and runs them, and loads the models again when asked."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from infer.core.arrays import Pixels
from infer.core.console import Screen
from infer.core.errors import ImageError, LabError, ModelError
from infer.images.upload import Upload
from infer.serve.admission import Admission
from infer.serve.batcher import Batcher
from infer.serve.config import MOST_MEGAPIXELS, ServeConfig
from infer.serve.decoders import Decoders
from infer.serve.engine import Engine, Result, Work, open_engine, same_files
from infer.serve.errors import busy
from infer.serve.metrics import Metrics

T = TypeVar("T")
RETIRE_SECONDS = 0.05
"""Between two looks whether an engine has answered what it accepted."""


@dataclass(frozen=True)
class Answer:
    """What the service says about one image: a result, or the reason why it has none."""

    name: str
    result: Result | None = None
    error: ImageError | None = None
    view: Pixels | None = None
    """The image as the first model sees it, uint8 [H, W, 3], where a heat map was asked for."""


class _Running:
    """An engine that answers, with the queue in front of it."""

    def __init__(self, engine: Engine, batcher: Batcher[Work, Result]) -> None:
        self.engine, self.batcher = engine, batcher
        self.images = 0  # accepted and not answered

    async def retire(self) -> None:
        """Answer what was accepted, then end."""
        while self.images:
            await asyncio.sleep(RETIRE_SECONDS)
        await self.batcher.close()


class Service:
    """Answers images. Its coroutines are for one event loop.

    Attributes:
        config: that of the command.
        admission: what is accepted and not answered.
        metrics: what is measured.
        is_ready: whether the models have been warmed up, and the server is not about to end.
    """

    def __init__(self, config: ServeConfig, engine: Engine, screen: Screen, replica: str = "") -> None:
        """Start the decoders for models that are open; `replica` names this of several services, for its metrics."""
        self.config, self._engine, self._screen = config, engine, screen
        self.admission = admission = Admission(config.max_queue, config.max_memory * 10**6, config.longest_wait)
        self.metrics = Metrics(admission, replica)
        limit = None if config.max_megapixels == MOST_MEGAPIXELS else config.max_megapixels * 10**6
        self._decoders = Decoders(config.decoders, limit, config.timeout)
        self._device = ThreadPoolExecutor(engine.at_once, "device")
        self._running: _Running | None = None
        self._reloading = asyncio.Lock()
        self.is_ready = False

    @property
    def engine(self) -> Engine:
        """The models that answer."""
        return self._running.engine if self._running else self._engine

    @property
    def name(self) -> str:
        """The model's name in /v2/models/NAME."""
        return self.config.name or self._engine.files[0].stem

    @property
    def decoder_pids(self) -> list[int]:
        """The ids of the processes that decode."""
        return self._decoders.pids

    async def start(self) -> None:
        """Warm the models up, and then be ready. Raises DeviceError, ModelError."""
        await self._warm_up(self._engine)
        self._running = self._begin(self._engine)
        self.is_ready = True

    async def close(self) -> None:
        """End the decoders and the engine; what was accepted has been answered."""
        self.is_ready = False
        if self._running:
            await self._running.batcher.close()
        self._device.shutdown(cancel_futures=True)
        await asyncio.to_thread(self._decoders.close)

    async def predict(self, uploads: Sequence[Upload], heatmap: bool = False) -> list[Answer]:
        """Answer images, in order; one that cannot be read has its own error.

        Raises:
            RequestError: the service is not ready, too many images are waiting, or the answers take too long.
            LabError: the device fails.
        """
        running = self._ready()
        with_map = heatmap and running.engine.has_heatmaps
        return await self._hold(running, [self._predict(running, upload, with_map) for upload in uploads])

    async def run(self, windows: Sequence[Pixels]) -> list[Answer]:
        """Answer images that the client has preprocessed, uint8 [window H, window W, 3] each. Raises as `predict`."""
        running = self._ready()
        now = time.perf_counter()
        works = [Work((window[None],), accepted=now) for window in windows]
        return await self._hold(running, [self._run_work(running, "", work) for work in works])

    async def reload(self) -> None:
        """Open the models' files again where they have changed; where they cannot be used, the old ones stay."""
        async with self._reloading:
            outcome = await self._reload()
        self.metrics.reloads.labels(outcome).inc()

    def _ready(self) -> _Running:
        if self._running is None or not self.is_ready:
            raise busy("the models are not ready yet")
        return self._running

    async def _hold(self, running: _Running, jobs: Sequence[Coroutine[None, None, Answer]]) -> list[Answer]:
        """The answers of jobs, which count as accepted meanwhile."""
        try:
            with self.admission.hold_images(len(jobs)) as held:
                running.images += len(jobs)
                try:
                    async with asyncio.timeout(self.config.timeout):
                        answers = await asyncio.gather(*jobs, return_exceptions=True)
                except TimeoutError:
                    raise busy(f"the answer took longer than {self.config.timeout:g} s", self.admission.wait) from None
                finally:
                    running.images -= len(jobs)
                if all(isinstance(answer, Answer) and answer.result for answer in answers):
                    held.predicted()
        finally:
            for job in jobs:
                job.close()  # where it was refused it has not begun
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, Answer)]

    async def _predict(self, running: _Running, upload: Upload, heatmap: bool) -> Answer:
        start = time.perf_counter()
        engine = running.engine
        decode = partial(self._decoders.decode, engine.specs, upload, engine.tta)
        views = await asyncio.get_running_loop().run_in_executor(self._decoders.threads, decode)
        self.metrics.decoding.observe(time.perf_counter() - start)
        if isinstance(views, ImageError):
            self.metrics.images.labels("unreadable").inc()
            return Answer(upload.name, error=views)
        return await self._run_work(running, upload.name, Work(views, heatmap, start))

    async def _run_work(self, running: _Running, name: str, work: Work) -> Answer:
        result = await running.batcher.submit(work)
        self.metrics.images.labels("predicted").inc()
        return Answer(name, result, view=running.engine.view(work.views) if work.heatmap else None)

    def _begin(self, engine: Engine) -> _Running:
        delay = self.config.max_delay / 1000
        run = partial(self._run_batch, engine)
        return _Running(engine, Batcher(run, self._device, self.config.max_batch, delay, engine.at_once))

    def _run_batch(self, engine: Engine, batch: Sequence[Work]) -> list[Result]:
        start = time.perf_counter()
        results = engine.run(batch)
        end = time.perf_counter()
        self.metrics.batches.observe(len(batch))
        self.metrics.running.observe(end - start)
        self.admission.pace.ran(len(batch), min(work.accepted for work in batch), end)
        return results

    async def _warm_up(self, engine: Engine) -> None:
        self.admission.pace.warmed_up(await self._on_device(engine.warm_up), self.config.max_delay / 1000)

    async def _on_device(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._device, function)

    async def _reload(self) -> str:
        """The outcome of a reload: unchanged, failed or loaded."""
        current, config = self._running, self.config
        try:
            if current is None:
                raise ModelError("the models are not ready yet; ask again when they are")
            if await asyncio.to_thread(same_files, current.engine):
                self._screen.say("reload: the models' files are those that are loaded")
                return "unchanged"
            files, batch = current.engine.files, config.max_batch
            opened = partial(open_engine, files, config.device, config.runtime, batch, self._screen, tta=config.tta)
            engine = await asyncio.to_thread(opened)
            await self._warm_up(engine)
        except (LabError, OSError) as error:
            self._screen.say(f"reload failed, so the models that are loaded stay: {error}")
            return "failed"
        self._running = self._begin(engine)
        self._screen.say("reload: the changed files are loaded")
        await current.retire()
        return "loaded"
