"""What reading a labels table of many rows costs, beside an earlier version of lab that reads Path,label.

    python bench/label_rows.py --old CLONE [--rows 1000000] [--rounds 2] [--folder DIR]

CLONE is the repository at the earlier commit. Both read the same images, which are empty files, in turns, each in a
process of its own: the earlier lab a train.csv with Path,label; this one that file, and with --labels a table of seven
columns under HAM10000's header. The time is the processor's; the memory is the peak of the whole process.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from machine import machine

ROOT = Path(__file__).resolve().parent.parent
LABELS = "labels.csv"
NEW, WITH_LABELS = "this lab, Path,label", "this lab, --labels"


def main() -> None:
    """Make the files where they are not there yet, and print the figures of each reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, help="a clone at the earlier commit")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the files are kept; a temporary folder if not given")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        read(Path(given.read[0]), Path(given.read[1]))
        return
    print(f"{machine()}, {given.rows} rows, n = {given.rounds}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary, "set")
        if not folder.exists():
            make(folder, given.rows)
        readers = {NEW: (ROOT, folder), WITH_LABELS: (ROOT, folder / LABELS)}
        if given.old:
            readers = {"earlier lab, Path,label": (given.old, folder), **readers}
        rounds = [{name: measured(*reader) for name, reader in readers.items()} for _ in range(given.rounds)]
    for name in readers:
        seconds, megabytes = (statistics.median(values) for values in zip(*(r[name] for r in rounds), strict=True))
        print(f"{name}: {seconds:.1f} s on the processor, {megabytes:.0f} MB")


def make(folder: Path, rows: int) -> None:
    """Write empty images, a thousand in a folder, and both tables."""
    plain, wide = ["Path,label"], ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for number in range(rows):
        path = f"images/{number // 1000}/{number}.png"
        if number % 1000 == 0:
            (folder / path).parent.mkdir(parents=True)
        os.close(os.open(folder / path, os.O_CREAT | os.O_WRONLY))
        label = "nv" if number % 3 else "mel"
        plain.append(f"{path},{label}")
        wide.append(f"HAM_{number // 2:07},{path},{label},histo,80.0,male,scalp")
    (folder / "train.csv").write_text("\n".join(plain))
    (folder / LABELS).write_text("\n".join(wide))


def measured(code: Path, data: Path) -> tuple[float, float]:
    """Seconds on the processor and peak megabytes of one reading, in a process of its own."""
    command = [sys.executable, __file__, "--read", str(code), str(data)]
    seconds, megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(seconds), float(megabytes)


def read(code: Path, data: Path) -> None:
    """Read a data set with the lab in a folder, and print what it took."""
    sys.path.insert(0, str(code))
    has_sources = (code / "infer" / "dataset" / "source.py").is_file()
    read_table = import_module("infer.dataset.source" if has_sources else "infer.dataset.layouts").read_table
    busy = time.process_time()
    read_table(data)
    print(time.process_time() - busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
