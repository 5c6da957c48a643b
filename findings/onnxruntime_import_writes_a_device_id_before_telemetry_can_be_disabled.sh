#!/usr/bin/env bash
# 2026-11-30. onnxruntime 1.31.1 and 1.28.0 from PyPI; Python 3.11, Linux.
#
# Expected: a program that calls onnxruntime.disable_telemetry_events() first of all, before it opens a session, leaves nothing of
# telemetry on the machine; and `import onnxruntime` alone writes no file, as with 1.28.0.
# Seen: `import onnxruntime` writes an identifier of the device and a database of events below ~/.cache/Microsoft/DeveloperTools, and .ses
# in the folder for temporary files. disable_telemetry_events() can only be called after that, and the files stay. With
# ORT_DISABLE_TELEMETRY=1 in the environment before the import there are none.
# Source: onnxruntime pull request 27379, "Add POSIX telemetry" (released with 1.29), which describes the variable as the full opt-out
# outside Windows, and the functions as suppressing what is not essential.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
unset CI ORT_DISABLE_TELEMETRY ORT_RUNNING_UNIT_TESTS XDG_CACHE_HOME
left() { # version, setting: what a program leaves in a new home, which is its folder for temporary files too
    home=$(mktemp -d -p "$folder")
    env "$2" HOME="$home" TMPDIR="$home" "$folder/$1/bin/python" -c '
import onnxruntime
onnxruntime.disable_telemetry_events()'
    (cd "$home" && find . -type f \( -name .ses -o -path "*Microsoft*" \) ! -name "*.db-*" | sort | tr '\n' ' ')
}
for version in 1.28.0 1.31.1; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install -q "onnxruntime==$version"
done
before=$(left 1.28.0 X=)
now=$(left 1.31.1 X=)
disabled=$(left 1.31.1 ORT_DISABLE_TELEMETRY=1)
echo "1.28.0 leaves: ${before:-nothing}"
echo "1.31.1 leaves: ${now:-nothing}"
echo "1.31.1 with ORT_DISABLE_TELEMETRY=1 leaves: ${disabled:-nothing}"
[ -z "$before" ] && [ -z "$disabled" ] && [[ $now == *deviceid* && $now == *.ses* ]]
