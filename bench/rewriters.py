"""What programs that rewrite ONNX files make of lab's, and what lab says of the result.

    python bench/rewriters.py RUN [--envs DIR] [--images 357] [--only NAME] [--write docs/onnx.md]

RUN is a run with model.onnx and its images. Each program is installed in an environment of its own and rewrites a copy
of the model. Then lab inspects the result, opens it as `lab predict` does, compares its probabilities with those of the
model on the run's validation images, and verifies it against the run. With --write the table replaces the one between
the markers in that page.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from machine import machine
from rewriter_programs import REWRITERS, Rewriter

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402

from exporter.verify import verify  # noqa: E402
from infer.config import VerifyConfig  # noqa: E402
from infer.core.console import Screen  # noqa: E402
from infer.core.errors import LabError  # noqa: E402
from infer.dataset.held_out import run_table  # noqa: E402
from infer.dataset.table import VALID, spread  # noqa: E402
from infer.images.preprocess import read_window  # noqa: E402
from infer.inspect import describe  # noqa: E402
from infer.model.card import read_card  # noqa: E402
from infer.model.onnx_session import runtime_version  # noqa: E402
from infer.model.seal import read_seal  # noqa: E402
from infer.model.session import Session  # noqa: E402

BATCH = 64
BEGIN, END = "<!-- bench/rewriters.py -->", "<!-- end of bench/rewriters.py -->"
HEADER = ("rewritten by", "what lab names", "probabilities differ by", "labels that differ", "`lab verify`")
PROGRAM = "import sys\nsource, target = sys.argv[1:]\n"


def main() -> None:
    """Parse, rewrite with each program, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--envs", type=Path, help="folder in which the environments are kept for another time")
    parser.add_argument("--images", type=int, default=357)
    parser.add_argument("--only", default="", help="only programs with this in their name")
    parser.add_argument("--write", type=Path, metavar="PAGE")
    args = parser.parse_args()
    model = args.run / "model.onnx"
    pixels = read_pixels(args.run, args.images)
    with tempfile.TemporaryDirectory() as folder:
        envs = args.envs or Path(folder) / "envs"
        rows = [
            row_of(rewriter, model, pixels, args.run, envs, Path(folder))
            for rewriter in REWRITERS
            if args.only in rewriter.name
        ]
    note = f"{len(pixels)} images, {read_card(model).architecture}; {machine()}, ONNX Runtime {runtime_version()}"
    text = "\n".join([*table_lines(rows), "", f"({note}; `python bench/rewriters.py RUN`.)"])
    print(text)
    if args.write:
        write_between(args.write, text)


def read_pixels(run: Path, limit: int) -> np.ndarray:
    """The evaluation views of a run's validation images, uint8 [n, H, W, 3]."""
    card = read_card(run / "model.onnx")
    table = run_table(run, card).split(VALID)
    files = table.take(spread(len(table), limit)).files()
    with ThreadPoolExecutor(2) as pool:
        return np.stack(list(pool.map(partial(read_window, spec=card.pixels), files)))


def row_of(rewriter: Rewriter, model: Path, pixels: np.ndarray, run: Path, envs: Path, folder: Path) -> list[str]:
    """A row of the table: what becomes of the model."""
    version = f"{rewriter.name} ({' '.join(rewriter.packages[0].split('=='))})"
    target = folder / f"{REWRITERS.index(rewriter)}" / f"model{rewriter.suffix}"
    target.parent.mkdir()
    if problem := rewrite(rewriter, model, target, envs):
        return [version, f"it fails: {problem}", "-", "-", "-"]
    try:
        describe(target)
        named = "; ".join(read_seal(target).changes) or "nothing"
        largest, flips = differences(model, target, pixels)
    except LabError as error:
        return [version, f"refused: {reason(error, target)}", "-", "-", "refused"]
    return [version, named, f"{largest:.1e}", str(flips), verified(target, run)]


def rewrite(rewriter: Rewriter, model: Path, target: Path, envs: Path) -> str:
    """Install a program and have it rewrite a copy of the model; returns why that failed, or ""."""
    python = envs / "-".join(rewriter.packages).replace("=", "") / "bin" / "python"
    steps: list[list[str]] = []
    if not python.exists():
        steps += [[sys.executable, "-m", "venv", str(python.parent.parent)]]
        steps += [[str(python), "-m", "pip", "install", "--quiet", *rewriter.packages]]
    source = target.with_name("source.onnx")
    shutil.copy(model, source)
    steps += [[str(python), "-c", PROGRAM + rewriter.code, str(source), str(target)]]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, cwd=target.parent, timeout=600)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            return last[0][:200]
    source.unlink()
    return "" if target.exists() else "it wrote no file"


def differences(model: Path, target: Path, pixels: np.ndarray) -> tuple[float, int]:
    """The largest difference of a probability between two files, and the number of labels that differ."""
    before, after = (probabilities(Session(path, "cpu", accept_changed=True), pixels) for path in (model, target))
    return float(np.abs(before - after).max()), int((before.argmax(1) != after.argmax(1)).sum())


def probabilities(session: Session, pixels: np.ndarray) -> np.ndarray:
    """Float32 [n, K], in batches."""
    rest: Iterator[np.ndarray] = iter(pixels)
    found = []
    while chunk := list(islice(rest, BATCH)):
        found.append(session.run(np.stack(chunk))[1])
    return np.concatenate(found)


def verified(target: Path, run: Path) -> str:
    """What `lab verify` finds, in a few words."""
    try:
        verify(VerifyConfig(file=target, run=run, device="cpu"), Screen(Console(quiet=True)))
    except LabError as error:
        passed = "but answers as the network did" in str(error)
        return "answers as the network did" if passed else f"refused: {reason(error, target)}"
    return "unchanged"


def reason(error: LabError, target: Path) -> str:
    """What is wrong, without the remedies, and the first of several failures of the gate."""
    first, *_ = re.split("; |, CPUExecutionProvider", str(error).replace(str(target), "the file"))
    return first


def table_lines(rows: list[list[str]]) -> list[str]:
    """A table in Markdown."""
    cells = [HEADER, ["---"] * len(HEADER), *rows]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in cells]


def write_between(page: Path, text: str) -> None:
    """Replace what is between the markers of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
