"""`--engine ray`: Ray Data runs the pipeline of one machine on each worker of a cluster; predictions come in order."""

import contextlib
import pickle
import weakref
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from infer.config import Device, Runtime, Tta
from infer.core.errors import DeviceError, LabError, ModelError
from infer.core.temporary import temporary_folder
from infer.core.text import listed
from infer.images.archive import File
from infer.model.onnx_reader import read_graph
from infer.model.open_models import without_auto
from infer.model.outside_weights import locations
from infer.model.providers import AUTO, ONNXRUNTIME_LIBRARY
from infer.model.session import Session
from infer.pipeline.batches import CpuDecoder
from infer.pipeline.classify import Ensemble, ImagePrediction, classify
from infer.pipeline.ray_cluster import Pool, start_pool

if TYPE_CHECKING:
    import pyarrow
    import ray
    import ray.data

BATCHES = 8
"""Batches that a worker takes at once; within these, decoding runs ahead of the network."""


class Worker:
    """The models on one worker of the cluster, opened once."""

    def __init__(
        self,
        models: Sequence["ray.ObjectRef[list[bytes]]"],
        device: Device,
        runtime: Runtime,
        pool: Pool,
        batch_size: int,
        tta: Tta,
    ) -> None:
        """`models[0]` refers to the content of the ONNX files, so that no node needs another's disk."""
        import ray

        contents = ray.get(models[0])
        self.pool, self.batch_size, self.tta = pool, batch_size, tta
        kept = contextlib.ExitStack()
        paths = write_models(contents, kept.enter_context(temporary_folder()))
        weakref.finalize(self, kept.close)  # not before the worker ends: CUDA graphs open a file again
        threads = None if pool.gpus else pool.cpus
        # the models were checked where they were first opened, by their own names
        self.sessions = [Session(path, device, threads, runtime, accept_changed=True) for path in paths]

    def __call__(self, rows: "pyarrow.Table") -> "pyarrow.Table":
        """Predict a table of pickled files; the table of pickled probabilities and errors."""
        import pyarrow

        files = [pickle.loads(cell.as_py()) for cell in rows["file"]]
        ensemble = Ensemble(self.sessions, len(files), self.batch_size, self.tta)
        decoder = CpuDecoder(ensemble.specs, self.tta, len(files), self.pool.cpus)
        predictions = classify(ensemble, files, decoder)
        return pyarrow.table({"prediction": [pickle.dumps((item.probabilities, item.error)) for item in predictions]})


def classify_on_cluster(
    ensemble: Ensemble, files: Sequence[File], device: Device, runtime: Runtime = AUTO
) -> Generator[ImagePrediction, None, None]:
    """Predict each file, in order, on Ray's workers; as `infer.pipeline.classify.classify` does on one machine.

    Args:
        ensemble: its model files are sent to the workers.
        files: paths, members of archives, or remote files, which the workers can read.
        device: where each worker opens the models.
        runtime: what each worker opens them with.

    Raises:
        MissingExtraError: Ray is not installed.
        DeviceError, ModelError: as on one machine, from any worker.
    """
    if not files:  # all predictions were saved; Ray starts no workers for none
        return
    require_self_contained(ensemble.sessions)
    runtime = without_auto(runtime)
    pool = start_pool(device if runtime == ONNXRUNTIME_LIBRARY else "cpu")
    wanted_gpu = device == "auto" and runtime == ONNXRUNTIME_LIBRARY
    why = " (no node of the cluster has a GPU)" if wanted_gpu and not pool.gpus else ""
    ensemble.say(f"device: {pool.text(runtime)}{why}")
    predicted = _predicted(ensemble, files, pool, runtime)
    try:
        for block in predicted.iter_batches(batch_size=None, batch_format="pyarrow"):
            for cell in block["prediction"]:
                yield ImagePrediction(*pickle.loads(cell.as_py()))
    except Exception as error:  # Ray wraps what a worker raised several times
        raise _cause(error) from error


def _predicted(ensemble: Ensemble, files: Sequence[File], pool: Pool, runtime: Runtime) -> "ray.data.Dataset":
    """Pickled probabilities and errors in the order of the files; Ray computes them as they are read."""
    import pyarrow
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    step = BATCHES * ensemble.images_per_batch
    blocks = [
        pyarrow.table({"file": [pickle.dumps(file) for file in files[start : start + step]]})
        for start in range(0, len(files), step)
    ]
    models = ray.put([session.path.read_bytes() for session in ensemble.sessions])
    return ray.data.from_arrow(blocks).map_batches(
        Worker,
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(pool.workers, len(blocks))),
        num_cpus=pool.cpus,
        num_gpus=pool.gpus or None,
        fn_constructor_args=(
            [models],
            "cuda" if pool.gpus else "cpu",
            runtime,
            pool,
            ensemble.batch_size,
            ensemble.tta,
        ),
    )


def write_models(contents: Sequence[bytes], folder: Path) -> list[Path]:
    """Write the content of ONNX files, which came from another node, into a folder; their paths."""
    paths = [folder / f"{number}.onnx" for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def require_self_contained(sessions: Sequence[Session]) -> None:
    """Raises ModelError for a model with weights in other files, which the workers would not get."""
    for session in sessions:
        if outside := locations(read_graph(session.path)):
            raise ModelError(
                f"--engine ray sends {session.path} alone to its workers, but it keeps weights in {listed(outside)}; "
                "export it again, or predict on this machine"
            )


def _cause(error: BaseException) -> LabError:
    """The error of lab's that Ray's exceptions wrap, or one with the last line of Ray's message."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LabError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    reason = str(error).strip().rpartition("\n")[2]
    return DeviceError(f"--engine ray: a worker failed: {reason}; leave --engine out to see more")
