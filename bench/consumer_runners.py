"""What bench/consumers.py runs inside a consumer's own environment: opens a model file and answers for images.

    python consumer_runners.py RUNNER MODEL IMAGES.npy OUT.npy

It needs numpy and the consumer, nothing of lab. Its last line of output is JSON: {"batch": "any"}, {"batch": "fixed"}
or {"refused": REASON}.
"""

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import consumer_converters as converters
import numpy as np

Run = Callable[[Any], Any]
"""Images as the file takes them, `BATCH` of them or another number -> probabilities [batch, K]."""
BATCH = 51
"""Images at once; 357 images are seven batches."""


def main(runner: str, model: str, images: str, out: str) -> dict[str, str]:
    """Answer for all images and save the probabilities, float32 [n, K], to `out`."""
    data = np.load(images)
    try:
        run = RUNNERS[runner](Path(model), BATCH, data)
        batches = [data[start : start + BATCH] for start in range(0, len(data), BATCH)]
        probabilities = np.concatenate([np.asarray(run(padded(part)))[: len(part)] for part in batches])
    except Exception as error:  # noqa: BLE001 - whatever it says is the cell's reason
        return {"refused": f"{type(error).__name__}: {error}"}
    np.save(out, probabilities.astype(np.float32))
    return {"batch": "any" if answers_alike(run, data[:3], probabilities[:3]) else "fixed"}


def padded(images: Any) -> Any:
    """The last batch, filled up with its first image."""
    return np.concatenate([images, np.repeat(images[:1], BATCH - len(images), axis=0)])


def answers_alike(run: Run, images: Any, expected: Any) -> bool:
    """Whether the session that answered for whole batches answers for another number of images."""
    try:
        return bool(np.abs(np.asarray(run(images)) - expected).max() < 1e-3)
    except Exception:  # noqa: BLE001 - each library has its own error for another shape
        return False


def onnxruntime(model: Path, _batch: int, _data: Any) -> Run:
    """ONNX Runtime's CPU provider."""
    session = importlib.import_module("onnxruntime").InferenceSession(model, providers=["CPUExecutionProvider"])
    return _session(session)


def onnxruntime_exact(model: Path, _batch: int, _data: Any) -> Run:
    """ONNX Runtime's CPU provider, with integer sums that do not overflow on any processor."""
    ort = importlib.import_module("onnxruntime")
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")
    return _session(ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]))


def onnxruntime_openvino(model: Path, _batch: int, _data: Any) -> Run:
    """ONNX Runtime's OpenVINO provider, in float32."""
    options = {"device_type": "CPU", "precision": "FP32"}
    ort = importlib.import_module("onnxruntime")
    session = ort.InferenceSession(model, providers=[("OpenVINOExecutionProvider", options)])
    if "OpenVINOExecutionProvider" not in session.get_providers():
        raise RuntimeError("ONNX Runtime went on without OpenVINO")
    return _session(session)


def _session(session: Any) -> Run:
    name = session.get_inputs()[0].name

    def run(images: Any) -> Any:
        return session.run(["probabilities"], {name: images})[0]

    return run


def openvino(model: Path, _batch: int, _data: Any) -> Run:
    """OpenVINO as it comes."""
    return _openvino(model, {})


def openvino_f32(model: Path, _batch: int, _data: Any) -> Run:
    """OpenVINO in float32 on every processor."""
    return _openvino(model, {"INFERENCE_PRECISION_HINT": "f32"})


def _openvino(model: Path, options: dict[str, str]) -> Run:
    compiled = importlib.import_module("openvino").Core().compile_model(str(model), "CPU", options)

    def run(images: Any) -> Any:
        return compiled(images)["probabilities"].copy()

    return run


def opencv(model: Path, _batch: int, _data: Any) -> Run:
    """OpenCV's dnn module."""
    network = importlib.import_module("cv2").dnn.readNetFromONNX(str(model))

    def run(images: Any) -> Any:
        network.setInput(images, "images")
        return network.forward("probabilities").copy()

    return run


def tract(model: Path, _batch: int, _data: Any) -> Run:
    """Run tract (Rust) by its Python package."""
    loaded = importlib.import_module("tract").onnx().load(str(model)).into_model()
    runnable = loaded.into_runnable()

    def run(images: Any) -> Any:
        return runnable.run([images])[1].to_numpy()  # in the file's order: it does not keep names

    return run


def tinygrad(model: Path, _batch: int, _data: Any) -> Run:
    """Run tinygrad's OnnxRunner, on the processor."""
    library = importlib.import_module("tinygrad")
    runner = importlib.import_module("tinygrad.nn.onnx").OnnxRunner(str(model))

    def run(images: Any) -> Any:
        return runner({"images": library.Tensor(images)})["probabilities"].numpy()

    return run


def onnx2torch(model: Path, _batch: int, _data: Any) -> Run:
    """A torch module that onnx2torch makes of the file."""
    onnx = importlib.import_module("onnx").load(str(model))
    return _module(importlib.import_module("onnx2torch").convert(onnx).eval(), onnx)


def onnx2pytorch(model: Path, _batch: int, _data: Any) -> Run:
    """A torch module that onnx2pytorch makes of the file."""
    onnx = importlib.import_module("onnx").load(str(model))
    return _module(importlib.import_module("onnx2pytorch").ConvertModel(onnx, experimental=True).eval(), onnx)


def _module(module: Any, onnx: Any) -> Run:
    """Run a torch module whose outputs are the file's, in order."""
    torch = importlib.import_module("torch")
    index = [output.name for output in onnx.graph.output].index("probabilities")

    def run(images: Any) -> Any:
        with torch.inference_mode():
            outputs = module(torch.from_numpy(images))
        return outputs[index].numpy()

    return run


def jaxonnxruntime(model: Path, _batch: int, data: Any) -> Run:
    """A JAX function that jaxonnxruntime makes of the file."""
    onnx = importlib.import_module("onnx").load(str(model))
    call = importlib.import_module("jaxonnxruntime.call_onnx")
    function, weights = call.call_onnx_model(onnx, {"images": data[:BATCH]})
    index = [output.name for output in onnx.graph.output].index("probabilities")

    def run(images: Any) -> Any:
        return np.asarray(function(weights, {"images": images})[index])

    return run


def onnx_reference(model: Path, _batch: int, _data: Any) -> Run:
    """The reference evaluator of the onnx package, in numpy."""
    session = importlib.import_module("onnx.reference").ReferenceEvaluator(str(model))

    def run(images: Any) -> Any:
        return session.run(["probabilities"], {"images": images})[0]

    return run


def nxrt(model: Path, _batch: int, _data: Any) -> Run:
    """Run nxrt (Rust) by its Python package."""
    session = importlib.import_module("nxrt").InferenceSession(str(model))

    def run(images: Any) -> Any:
        return session.run(["probabilities"], {"images": images})[0]

    return run


RUNNERS: Mapping[str, Callable[[Path, int, Any], Run]] = MappingProxyType(
    {
        function.__name__: function
        for function in (
            *(
                onnxruntime,
                onnxruntime_exact,
                onnxruntime_openvino,
                openvino,
                openvino_f32,
                opencv,
                tract,
                tinygrad,
                nxrt,
            ),
            *(onnx2torch, onnx2pytorch, jaxonnxruntime, onnx_reference),
            *(converters.mnn, converters.tvm, converters.iree, converters.ncnn, converters.litert),
        )
    }
)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
