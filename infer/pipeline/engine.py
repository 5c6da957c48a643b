"""Who answers for the images of `lab predict`: this machine or a cluster, after what an earlier run has kept."""

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from infer.config import PredictConfig
from infer.core.console import Screen
from infer.core.output_paths import progress_file
from infer.images.archive import File
from infer.model.session import Session
from infer.pipeline.classify import Answer, classify, images_a_batch
from infer.pipeline.fingerprint import identity_of
from infer.pipeline.resume import resuming
from infer.tables.inputs import Inputs

if TYPE_CHECKING:
    from infer.pipeline.gpu_decode import GpuReader


def answers_of(
    config: PredictConfig, sessions: Sequence[Session], inputs: Inputs, screen: Screen
) -> Generator[Answer, None, None]:
    """One answer per image; those of an unfinished prediction first.

    Raises:
        LabError: see the tree; nothing has been answered then.
    """
    if config.restart:
        progress_file(config.out).unlink(missing_ok=True)
    size = images_a_batch(sessions, config.batch_size, config.tta)
    reader = _reader(config, sessions, inputs.files, screen) if config.decode == "gpu" else None

    def rest(done: int) -> Iterator[Answer]:
        files = inputs.files[done:]
        if config.engine == "ray":
            from infer.pipeline.ray_engine import classify_on_cluster

            return classify_on_cluster(config, sessions, files, size, screen.say)
        return classify(
            sessions, files, config.batch_size, say=screen.say, tta=config.tta, reader=reader, total=len(inputs.files)
        )

    identity = identity_of(config, sessions, inputs)
    answers = resuming(progress_file(config.out), identity, inputs.files, size, rest, screen.say)
    return _telling(answers, reader, screen) if reader else answers


def _reader(
    config: PredictConfig, sessions: Sequence[Session], files: Sequence[File], screen: Screen
) -> "GpuReader | None":
    """What decodes on the GPU, or None where it would have nothing to do; how its answers differ is said.

    Raises:
        DeviceError: it gives other pictures than the processor.
        LabError: as `open_reader`.
    """
    from infer.pipeline.decoder_comparison import compare_decoders
    from infer.pipeline.gpu_decode import open_reader

    reader = open_reader(sessions, config.tta)
    difference = compare_decoders(sessions, files, config.batch_size, config.tta, reader)
    if not reader.on_device:
        screen.say(f"note: of {reader.elsewhere} images, spread evenly, the GPU can decode none; the CPU decodes all")
        return None
    screen.say(difference.told())
    reader.count_anew()
    return reader


def _telling(
    answers: Generator[Answer, None, None], reader: "GpuReader", screen: Screen
) -> Generator[Answer, None, None]:
    """The answers, and in the end where images were decoded."""
    yield from answers
    screen.say(reader.told())
