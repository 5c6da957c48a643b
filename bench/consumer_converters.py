"""Consumers that first make a file or a program of their own out of the ONNX file; see consumer_runners.py."""

import importlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def mnn(model: Path, _batch: int, _data: Any) -> Callable[[Any], Any]:
    """MNN, after its converter."""
    folder = Path(tempfile.mkdtemp())
    converted = str(folder / "model.mnn")
    # mnnconvert itself installs a package with whichever pip comes first on PATH, for a report that it sends
    convert = "import sys, _tools; sys.argv[0] = 'mnnconvert'; _tools.mnnconvert(sys.argv)"
    options = ["-f", "ONNX", "--modelFile", str(model), "--MNNModel", converted, "--bizCode", "lab"]
    tool([sys.executable, "-c", convert, *options])
    library = importlib.import_module("MNN")
    module = library.nn.load_module_from_file(converted, ["images"], ["probabilities"])
    kind = {"uint8": library.expr.uint8, "float32": library.expr.float}

    def run(images: Any) -> Any:
        # MNN's NCHW means here that the axes are as they stand in the ONNX file
        batch = library.expr.const(images, list(images.shape), library.expr.NCHW, kind[str(images.dtype)])
        return np.array(module.forward([batch])[0].read(), copy=True).reshape(len(images), -1)

    return run


def tvm(model: Path, batch: int, data: Any) -> Callable[[Any], Any]:
    """TVM's relax, compiled for the processor and one batch size."""
    library = importlib.import_module("tvm")
    onnx = importlib.import_module("onnx").load(str(model))
    frontend = importlib.import_module("tvm.relax.frontend.onnx")
    shape = {"images": [batch, *data.shape[1:]]}
    module = frontend.from_onnx(onnx, shape_dict=shape, keep_params_in_input=False)
    compiled = library.compile(module, target="llvm")
    machine = library.relax.VirtualMachine(compiled, library.cpu())

    def run(images: Any) -> Any:
        outputs = machine["main"](library.runtime.tensor(images))
        return outputs[1].numpy()

    return run


def iree(model: Path, _batch: int, _data: Any) -> Callable[[Any], Any]:
    """IREE, compiled for the processor."""
    folder = Path(tempfile.mkdtemp())
    source, compiled = str(folder / "model.mlir"), str(folder / "model.vmfb")
    tool(["iree-import-onnx", str(model), "-o", source])
    target = ["--iree-hal-target-device=local", "--iree-hal-local-target-device-backends=llvm-cpu"]
    tool(["iree-compile", source, *target, "--iree-llvmcpu-target-cpu=host", "-o", compiled])
    runtime = importlib.import_module("iree.runtime")
    module = runtime.load_vm_flatbuffer_file(compiled, driver="local-task")
    names = [name for name in module.vm_module.function_names if not name.startswith("__") and "$async" not in name]
    function = getattr(module, names[0])

    def run(images: Any) -> Any:
        return np.array(function(images)[1].to_host())  # a copy: the next call writes over it

    return run


def ncnn(model: Path, _batch: int, data: Any) -> Callable[[Any], Any]:
    """Ncnn, after pnnx: one image at a time."""
    folder = Path(tempfile.mkdtemp())
    (folder / "model.onnx").write_bytes(model.read_bytes())
    kind = {"uint8": "u8", "float32": "f32"}[str(data.dtype)]
    shape = ",".join(map(str, [1, *data.shape[1:]]))
    tool(["pnnx", str(folder / "model.onnx"), f"inputshape=[{shape}]{kind}", "fp16=0"])
    library = importlib.import_module("ncnn")
    network = library.Net()
    network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
    if network.load_param(str(folder / "model.ncnn.param")) or network.load_model(str(folder / "model.ncnn.bin")):
        raise RuntimeError("ncnn does not load what pnnx wrote")

    def run(images: Any) -> Any:
        answers = []
        for image in images:
            extractor = network.create_extractor()
            extractor.input("in0", library.Mat(np.ascontiguousarray(image)).clone())
            failed, output = extractor.extract("out1")
            if failed:
                raise RuntimeError(f"extract returned {failed}")
            answers.append(np.array(output).reshape(-1))
        return np.stack(answers)

    return run


def litert(model: Path, _batch: int, _data: Any) -> Callable[[Any], Any]:
    """LiteRT, after onnx2tf: one image at a time, with the axes in the order that onnx2tf gives every input."""
    folder = Path(tempfile.mkdtemp())
    tool(["onnx2tf", "-i", str(model), "-o", str(folder)])
    (converted,) = folder.glob("*_float32.tflite")
    interpreter = importlib.import_module("ai_edge_litert.interpreter").Interpreter(str(converted))
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()

    def run_one(image: Any) -> Any:
        interpreter.set_tensor(entry["index"], np.ascontiguousarray(image[None].transpose(0, 2, 3, 1)))
        interpreter.invoke()
        outputs = [interpreter.get_tensor(item["index"])[0] for item in interpreter.get_output_details()]
        return next(value for value in outputs if abs(value.sum() - 1) < 1e-3)  # its outputs have other names

    def run(images: Any) -> Any:
        return np.stack([run_one(image) for image in images])

    return run


def tool(command: list[str]) -> None:
    """Run a converter.

    Raises:
        RuntimeError: it failed; with its last line.
    """
    path = Path(sys.executable).parent / command[0]
    command = [str(path) if path.is_file() else command[0], *command[1:]]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if ran.returncode:
        lines = (ran.stdout + ran.stderr).strip().splitlines() or [f"exit code {ran.returncode}"]
        raise RuntimeError(f"{Path(command[0]).name}: {lines[-1]}")
