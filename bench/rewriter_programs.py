"""The programs that bench/rewriters.py tries: their packages on PyPI, and how each is asked to rewrite a file."""

from dataclasses import dataclass

ONNX = "onnx==1.23.2"
ORT = "onnxruntime==1.31.1"


@dataclass(frozen=True)
class Rewriter:
    """A program that reads an ONNX file and writes another."""

    name: str
    """For the table, with the function that is called."""
    packages: tuple[str, ...]
    """What pip installs, pinned; the first one's version is in the table."""
    code: str
    """Python: reads the file `source` and writes `target`; both are paths as text."""
    suffix: str = ".onnx"
    """The suffix of what it writes."""


def _optimised(level: str) -> str:
    return (
        "import onnxruntime as ort; options = ort.SessionOptions(); options.optimized_model_filepath = target; "
        f"options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_{level}; "
        "ort.InferenceSession(source, options, providers=['CPUExecutionProvider'])"
    )


REWRITERS: tuple[Rewriter, ...] = (
    Rewriter("onnxslim", ("onnxslim==0.1.98", ONNX), "import onnxslim; onnxslim.slim(source, target)"),
    Rewriter(
        "onnxsim",
        ("onnxsim==0.8.1", ONNX),
        "import onnx, onnxsim; onnx.save(onnxsim.simplify(onnx.load(source))[0], target)",
    ),
    Rewriter(
        "onnxoptimizer",
        ("onnxoptimizer==0.4.2", ONNX),
        "import onnx, onnxoptimizer; onnx.save(onnxoptimizer.optimize(onnx.load(source)), target)",
    ),
    Rewriter("ONNX Runtime's optimised model, basic", (ORT,), _optimised("BASIC")),
    Rewriter("ONNX Runtime's optimised model, extended", (ORT,), _optimised("EXTENDED")),
    Rewriter("ONNX Runtime's optimised model, all", (ORT,), _optimised("ALL")),
    Rewriter(
        "onnx.version_converter, 17 to 21",
        (ONNX,),
        "import onnx; from onnx import version_converter as v; "
        "onnx.save(v.convert_version(onnx.load(source), 21), target)",
    ),
    Rewriter(
        "onnx.save, weights outside",
        (ONNX,),
        "import onnx, os; onnx.save(onnx.load(source), target, save_as_external_data=True, "
        "location=os.path.basename(target) + '.data')",
    ),
    Rewriter(
        "onnx.shape_inference",
        (ONNX,),
        "import onnx; onnx.save(onnx.shape_inference.infer_shapes(onnx.load(source)), target)",
    ),
    Rewriter(
        "onnx.utils.extract_model",
        (ONNX,),
        "import onnx.utils; onnx.utils.extract_model(source, target, ['images'], ['logits', 'probabilities'])",
    ),
    Rewriter(
        "onnx.compose.add_prefix",
        (ONNX,),
        "import onnx, onnx.compose; onnx.save(onnx.compose.add_prefix(onnx.load(source), 'a_'), target)",
    ),
    Rewriter("onnx-ir", ("onnx-ir==1.1.0", ONNX), "import onnx_ir; onnx_ir.save(onnx_ir.load(source), target)"),
    Rewriter(
        "onnxscript.optimizer",
        ("onnxscript==0.7.2", ONNX),
        "import onnx, onnxscript.optimizer as o; onnx.save(o.optimize(onnx.load(source)), target)",
    ),
    Rewriter(
        "onnx-graphsurgeon",
        ("onnx-graphsurgeon==0.6.1", ONNX),
        "import onnx, onnx_graphsurgeon as gs; "
        "onnx.save(gs.export_onnx(gs.import_onnx(onnx.load(source)).cleanup().toposort()), target)",
    ),
    Rewriter(
        "onnxconverter-common, float16",
        ("onnxconverter-common==1.16.0", ONNX),
        "import onnx; from onnxconverter_common import float16 as f; "
        "onnx.save(f.convert_float_to_float16(onnx.load(source), keep_io_types=True), target)",
    ),
    Rewriter(
        "ONNX Runtime's float16 converter",
        (ORT, ONNX, "sympy", "packaging"),
        "import onnx; from onnxruntime.transformers import float16 as f; "
        "onnx.save(f.convert_float_to_float16(onnx.load(source), keep_io_types=True), target)",
    ),
    Rewriter(
        "ONNX Runtime's quantize_dynamic",
        (ORT, ONNX, "sympy"),
        "from onnxruntime.quantization import quantize_dynamic; quantize_dynamic(source, target)",
    ),
    Rewriter(
        "ONNX Runtime's quant_pre_process",
        (ORT, ONNX, "sympy"),
        "from onnxruntime.quantization.shape_inference import quant_pre_process; quant_pre_process(source, target)",
    ),
    Rewriter(
        "ONNX Runtime's .ort format",
        (ORT, ONNX),
        "import onnxruntime as ort; options = ort.SessionOptions(); options.optimized_model_filepath = target; "
        "options.add_session_config_entry('session.save_model_format', 'ORT'); "
        "ort.InferenceSession(source, options, providers=['CPUExecutionProvider'])",
        suffix=".ort",
    ),
)
