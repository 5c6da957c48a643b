"""A failure of each change that a command makes to its files: nothing is lost, left behind or half-written.

    python bench/faults.py [--errors ENOSPC EIO EACCES] [--steps 100000] [-k predict]

Runs tests/test_faults.py, which lets an open, write, flush, fsync, link, rename or mkdir fail, looks at what is there,
runs the command again and compares the result with an undisturbed one; there with a few steps and the errors in turn,
here with all steps and each error. Prints the number of steps of each command. Needs what the tests need.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from machine import machine

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the tests with the errors and steps that the command line asks for."""
    parser = argparse.ArgumentParser(description="Let each change that a command makes to its files fail.")
    parser.add_argument(
        "--errors",
        nargs="+",
        default=["ENOSPC", "EIO", "EACCES"],
        metavar="ERROR",
    )
    parser.add_argument("--steps", type=int, default=100_000, help="the most steps of each command")
    parser.add_argument("-k", default="", help="only the tests with this in their names")
    options = parser.parse_args()
    print(machine(), flush=True)
    chosen = ["-k", options.k] if options.k else []
    command = [sys.executable, "-m", "pytest", "-v", "-s", "tests/test_faults.py", *chosen]
    failed = False
    for error in options.errors:
        print(f"\nevery step fails with {error}", flush=True)
        setting = {"LAB_FAULT_STEPS": str(max(2, options.steps)), "LAB_FAULT_ERRORS": error}
        failed |= subprocess.run(command, cwd=ROOT, env={**os.environ, **setting}, check=False).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
