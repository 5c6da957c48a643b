"""The gate's table for finished runs at every precision, as docs/export.md shows it.

    python bench/gate.py RUN... [--opset 17]

Each run is exported at fp32, fp16 and int8 into a scratch folder; the rows are those of the whole validation split.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import get_args

from machine import machine
from rich.console import Console

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from exporter.config import ExportConfig, Precision  # noqa: E402
from exporter.export import export  # noqa: E402
from infer.core.console import Screen  # noqa: E402
from infer.core.cpu import instructions  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402

COLUMNS = ("network", "precision", "size", "provider", "batch", "images", "max diff", "99.9%", "error", "flips")
HEAD = (*COLUMNS, "accuracy, network", "accuracy, file", "difference, points")


def main() -> None:
    """Parse, export, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--opset", type=int, default=17)
    args = parser.parse_args()
    print(f"{machine()}, {' '.join(instructions())}, onnxruntime {runtime_version()}")
    print(*(f"| {' | '.join(cells)} |" for cells in (HEAD, ["---"] * len(HEAD))), sep="\n", flush=True)
    for run in args.runs:
        for precision in get_args(Precision):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "model.onnx"
                config = ExportConfig(run=run, precision=precision, opset=args.opset, out=out)
                export(config, Screen(Console(quiet=True)))
                size = f"{out.stat().st_size / 1e6:.1f} MB"
                checks = json.loads(out.with_suffix(".parity.json").read_text())["checks"]
            for check in checks:
                if check["images"] == max(item["images"] for item in checks):
                    print(f"| {' | '.join([run.name.partition('-')[0], precision, size, *row(check)])} |", flush=True)


def row(check: dict[str, object]) -> list[str]:
    """A check's cells."""
    low, high = (100 * float(value) for value in check["accuracy_difference"])  # type: ignore[attr-defined]
    return [
        str(check["provider"]).removesuffix("ExecutionProvider"),
        str(check["batch"]),
        str(check["images"]),
        *(f"{check[name]:.1e}" for name in ("logit_difference", "logit_p999", "noise")),
        str(check["labels_differ"]),
        *(f"{check[name]:.2%}" for name in ("network_accuracy", "accuracy")),
        f"{low:+.1f} to {high:+.1f}",
    ]


if __name__ == "__main__":
    main()
