"""A failure of each change that a command makes to its files: nothing is lost, left behind or half-written.

    python bench/faults.py [--steps 100000] [-k predict]

Runs tests/test_faults.py, which lets an open, write, flush, fsync, link, rename or mkdir fail (ENOSPC, EIO, EACCES in
turn), looks at what is there, runs the command again and compares the result with an undisturbed one; here with all
steps in place of a few. Prints the number of steps of each command. Needs what the tests need.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from machine import machine

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run the tests with the steps that the command line asks for."""
    parser = argparse.ArgumentParser(description="Let each change that a command makes to its files fail.")
    parser.add_argument("--steps", type=int, default=100_000, help="the most steps of each command")
    parser.add_argument("-k", default="", help="only the tests with this in their names")
    options = parser.parse_args()
    print(machine())
    chosen = ["-k", options.k] if options.k else []
    command = [sys.executable, "-m", "pytest", "-v", "-rP", "tests/test_faults.py", *chosen]
    environment = {**os.environ, "LAB_FAULT_STEPS": str(max(2, options.steps))}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
