#!/usr/bin/env bash
# 2026-11-30. torch 2.14.1, numpy 2.4.6; Python 3.11.
#
# Expected: a program that never compiles anything has nothing of torch.compile: `import torch` leaves torch._dynamo out, since it
# takes about as long to import as torch itself, and no folder is made for compiled code.
# Seen: torch.optim.SGD(...) imports torch._dynamo, with sympy and torch.distributed's FSDP, and makes the empty folder
# torchinductor_USER in the folder for temporary files, which stays after the process; so does AdamW. It also sets
# TORCHINDUCTOR_CACHE_DIR in the environment, for all child processes.
# Source: torch/optim/optimizer.py, whose methods go through torch._compile._disable_dynamo, which imports torch._dynamo at the first
# call; torch/_inductor/runtime/cache_dir_utils.py, cache_dir(), which makes the folder.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
mkdir "$folder/tmp"
unset TORCHINDUCTOR_CACHE_DIR
TMPDIR="$folder/tmp" "$folder/venv/bin/python" - <<'PY'
import os
import sys

import torch


def seen(moment):
    loaded = [name for name in ("torch._dynamo", "sympy", "torch.distributed.fsdp") if name in sys.modules]
    made = [name.rpartition("_")[0] for name in os.listdir(os.environ["TMPDIR"])]
    print(f"{moment}: loaded {loaded}, made {made}, TORCHINDUCTOR_CACHE_DIR {'TORCHINDUCTOR_CACHE_DIR' in os.environ}")
    return loaded, made


before = seen("after import torch")
torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
after = seen("after SGD(...)")
sys.exit(not (before == ([], []) and len(after[0]) == 3 and after[1] == ["torchinductor"]))
PY
