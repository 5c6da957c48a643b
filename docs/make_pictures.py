"""Makes what the README shows: its commands' output and docs/pictures, from one run on the built-in synthetic cells.

    python docs/make_pictures.py

It takes a few minutes on a CPU, and needs the train extra and Chromium or Chrome. Run it again when the output of
`lab train`, `lab export` or `lab predict`, or the report's page, has changed.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 112
"""Columns of the terminal."""
SHOWN = "predict cells/test/ --truth cells/test_labels.csv --out measured.csv"
"""The command of the terminal's picture; the report's picture shows what it writes."""
PAGE = (1200, 1540)
"""The report's picture has the first two parts of the page, each of this size in pixels, side by side; then smaller."""
SCALE = 0.7


def main() -> None:
    """Run the commands in a new folder, then write the README and the pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(builtin_cells(), folder / "cells")
        readme = ROOT / "README.md"
        blocks = re.compile(r"```console\n\$ lab (.*)\n(?:.*\n)*?```")
        text = blocks.sub(lambda block: transcript(block[1], folder), readme.read_text(encoding="utf-8"))
        PICTURES.mkdir(exist_ok=True)
        draw_terminal(run_lab(SHOWN, folder, colours=True))
        draw_report(folder / "measured.report" / "report.html")
        readme.write_text(text, encoding="utf-8")


def builtin_cells() -> Path:
    """The folder of the built-in set."""
    sys.path.insert(0, str(ROOT))
    from infer.core.console import Screen
    from trainer.data.synthetic import builtin_data

    return builtin_data(Screen())


def run_lab(command: str, folder: Path, colours: bool = False) -> str:
    """What `lab COMMAND` prints on a terminal, without progress bars, as if `folder` were the home folder."""
    terminal = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "0"} if colours else {}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(WIDTH), **terminal}
    arguments = [sys.executable, "-m", "lab", *shlex.split(command)]
    result = subprocess.run(arguments, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    output = re.sub(r"\x1b\[\?25[lh]\n?", "", result.stdout)  # a bar that is not drawn hides the cursor and shows it
    return output.replace(str(folder), "~").replace(str(Path.home()), "~")


def transcript(command: str, folder: Path) -> str:
    """A block of the README: a command and its output; of a training the beginning, the epochs and the end."""
    lines = run_lab(command, folder).rstrip().split("\n")
    epochs = [number for number, line in enumerate(lines) if line.startswith("epoch ")]
    if epochs:
        lines = [*lines[: epochs[-1] + 1], "...", *lines[-2:]]
    return "\n".join(["```console", f"$ lab {command}", *(line.rstrip() for line in lines), "```"])


def draw_terminal(output: str) -> None:
    """docs/pictures/terminal.svg: the command SHOWN with its output, in colours."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(f"$ lab {SHOWN}", highlight=False)
        console.print(Text.from_ansi(output))
        svg = console.export_svg(title="lab", theme=MONOKAI)
    fonts = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)  # from another server: the reader's own will do
    (PICTURES / "terminal.svg").write_text(fonts.sub("", svg), encoding="utf-8")


def draw_report(page: Path) -> None:
    """docs/pictures/report.png: the first two parts of a report's page side by side, in 96 colours."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        raise SystemExit("neither Chromium nor Chrome is installed; run apt install chromium")
    target = PICTURES / "report.png"
    width, height = PAGE
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={width},{2 * height}"]
    subprocess.run([browser, *options, f"--screenshot={target}", page.as_uri()], check=True, capture_output=True)
    both = Image.new("RGB", (2 * width, height))
    with Image.open(target) as picture:
        for part in (0, 1):
            both.paste(picture.crop((0, part * height, width, (part + 1) * height)), (part * width, 0))
    small = both.resize((round(2 * width * SCALE), round(height * SCALE)), Image.Resampling.LANCZOS)
    small.quantize(96, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(target, optimize=True)


if __name__ == "__main__":
    main()
