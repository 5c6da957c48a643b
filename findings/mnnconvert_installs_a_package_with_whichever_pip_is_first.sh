#!/usr/bin/env bash
# 2026-11-29. MNN 3.6.1; Python 3.11.
#
# Expected: a converter of model files reads one file and writes another; what it needs is among its package's requirements.
# Seen: each start of mnnconvert, --help too, runs "pip install -U aliyun-log-python-sdk" through the shell, with the pip that comes first
# on PATH, which need not belong to the environment that holds MNN: another environment gets the package and its requirements, and
# what it has of them is upgraded. The client of a log service is for a report of the conversion (arguments, sizes, a machine's
# identifier) that is sent where a network is; nothing in the help says so, and no option turns it off.
# Source: MNN/tools/utils/log.py, imported by MNN/tools/mnnconvert.py. Calling _tools.mnnconvert directly converts without it.
# The pip of this script's PATH is a stand-in that only notes how it was called.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q MNN==3.6.1 numpy==2.4.6
mkdir "$folder/first"
printf '#!/bin/sh\necho "pip $*" >> "%s"\n' "$folder/calls" > "$folder/first/pip"
chmod +x "$folder/first/pip"
PATH="$folder/first:$PATH" "$folder/venv/bin/mnnconvert" --help > "$folder/help" 2>&1 || true
echo "called: $(sort "$folder/calls" | uniq -c | tr -s ' ')"
echo "lines of the help that name a log, a report or the network: $(grep -ciE 'aliyun|telemetry|report|network|upload|logging' <(grep -v 'pip install' "$folder/help") || true)"
"$folder/venv/bin/python" -c "import _tools; _tools.mnnconvert(['mnnconvert', '--version'])" > "$folder/direct" 2>&1 || true
echo "called by _tools.mnnconvert: $(($(wc -l < "$folder/calls") - $(grep -c aliyun "$folder/calls")))"
grep -q '^pip install -U aliyun-log-python-sdk$' "$folder/calls" && ! "$folder/venv/bin/pip" show -q aliyun-log-python-sdk 2> /dev/null
