"""The consumers of bench/consumers.py: what each is, what is installed for it, and how it is started."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

NCNN = "through pnnx. Of the uint8 files it knows no operator for the cast: use `lab export --input float`"
MNN = (
    "through its converter, called as _tools.mnnconvert: the command itself installs a package with the first pip "
    "on PATH. QuantizeLinear exchanges batch and channels there: int8 files convert and give no answer"
)
LITERT = "through onnx2tf, which moves axis 1 of every input to the end: uint8 files then take [batch, W, 3, H]"


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A program or library that opens ONNX files."""

    name: str
    """As in the table."""
    packages: tuple[str, ...] = ()
    """Pinned packages of PyPI (`kind` python, beside) or npm (node, web, chromium, c)."""
    kind: str = "python"
    """python: a virtual environment of its own; beside: packages without dependencies beside lab's own torch and onnx;
    node, web, chromium, c: npm packages."""
    version: str = "3.11"
    """Of Python, where the consumer needs another one than most."""
    runner: str = ""
    """The function in consumer_runners.py (kind python, beside), or an option of the page or script."""
    shown: int = 1
    """How many of the packages the page names."""
    single: bool = False
    """Asked for one image at a time."""
    note: str = ""
    """What a reader must know to use it: printed in the last column."""


REFERENCE = "onnxruntime, session.x64quantprecision=1"
"""What the others are compared with: the option makes int8 exact also on processors without 8-bit instructions."""
CONSUMERS: tuple[Consumer, ...] = (
    Consumer(name=REFERENCE, packages=("onnxruntime==1.31.1", "numpy==2.4.6"), runner="onnxruntime_exact"),
    Consumer(name="onnxruntime", packages=("onnxruntime==1.31.1", "numpy==2.4.6"), runner="onnxruntime"),
    Consumer(
        name="onnxruntime, C API",
        packages=("com.github.asus4.onnxruntime@0.4.9",),
        kind="c",
        note="docs/examples/predict.c with the library of the Python wheel",
    ),
    Consumer(name="onnxruntime-node", packages=("onnxruntime-node@1.30.0",), kind="node", runner="node"),
    Consumer(name="onnxruntime-web, wasm in Node", packages=("onnxruntime-web@1.30.0",), kind="web", runner="wasm"),
    Consumer(
        name="onnxruntime-web, wasm in Chromium", packages=("onnxruntime-web@1.30.0",), kind="chromium", runner="wasm"
    ),
    Consumer(
        name="onnxruntime-web, WebGPU in Chromium",
        packages=("onnxruntime-web@1.30.0",),
        kind="chromium",
        runner="webgpu",
        note="on a GPU emulated by the processor (SwiftShader)",
    ),
    Consumer(
        name="OpenVINO",
        packages=("openvino==2026.4.1", "numpy==2.4.6"),
        runner="openvino",
        note="computes in bfloat16 on processors with AMX or AVX-512 BF16 unless told otherwise, as in the next row",
    ),
    Consumer(
        name="OpenVINO, INFERENCE_PRECISION_HINT=f32",
        packages=("openvino==2026.4.1", "numpy==2.4.6"),
        runner="openvino_f32",
    ),
    Consumer(
        name="onnxruntime-openvino",
        packages=("onnxruntime-openvino==1.24.1", "numpy==2.4.6"),
        runner="onnxruntime_openvino",
    ),
    Consumer(name="OpenCV dnn", packages=("opencv-python-headless==5.0.0.93", "numpy==2.4.6"), runner="opencv"),
    Consumer(name="MNN", packages=("MNN==3.6.1", "numpy==2.4.6"), runner="mnn", note=MNN),
    Consumer(name="tract", packages=("tract==0.23.9", "numpy==2.4.6"), runner="tract"),
    Consumer(name="TVM", packages=("apache-tvm==0.27.0.post1", "onnx==1.23.2", "numpy==2.4.6"), runner="tvm"),
    Consumer(
        name="IREE",
        packages=("iree-base-compiler[onnx]==3.13.0", "iree-base-runtime==3.13.0", "numpy==2.4.6"),
        runner="iree",
    ),
    Consumer(
        name="tinygrad",
        packages=("tinygrad==0.14.0", "numpy==2.4.6"),
        runner="tinygrad",
        note="needs clang on the PATH",
    ),
    Consumer(name="onnx2torch", packages=("onnx2torch==1.5.15",), kind="beside", runner="onnx2torch"),
    Consumer(name="onnx2pytorch", packages=("onnx2pytorch==0.6.0",), kind="beside", runner="onnx2pytorch"),
    Consumer(
        name="jaxonnxruntime",
        packages=("jaxonnxruntime==0.3.0", "jax==0.10.2", "onnx==1.23.2", "numpy==2.4.6", "absl-py==2.5.1"),
        runner="jaxonnxruntime",
        shown=2,
    ),
    Consumer(name="onnx.reference", packages=("onnx==1.23.2", "numpy==2.4.6"), runner="onnx_reference"),
    Consumer(
        name="ncnn",
        packages=("ncnn==1.0.20261020", "pnnx==20261020"),
        kind="beside",
        runner="ncnn",
        shown=2,
        single=True,
        note=NCNN,
    ),
    Consumer(
        name="LiteRT",
        packages=("onnx2tf==2.6.9", "ai-edge-litert==2.1.2"),
        version="3.12",
        runner="litert",
        shown=2,
        single=True,
        note=LITERT,
    ),
    Consumer(name="nxrt", packages=("nxrt==0.1.0.dev6", "numpy==2.4.6"), runner="nxrt"),
)


BY_NAME: Mapping[str, Consumer] = MappingProxyType({consumer.name: consumer for consumer in CONSUMERS})
