#!/usr/bin/env bash
# 2026-11-30. Ray 2.60.0; Python 3.11, Linux.
#
# Expected: `ray start --head` and a program that joins it by ray.init(address=...) work alike, with the same environment and the same
# user on one machine, whether or not another program has started a Ray of its own by ray.init() before, and has ended.
# Seen: they do until then. That ray.init() leaves ~/.ray/auth_token, and from then on `ray start --head` takes the file for a wish and
# asks for the token; ray.init(address=...) does not look at the file unless RAY_AUTH_MODE is set, sends none, and fails after retries:
# "Failed to connect to Ray cluster", which does not name the token. The same program joins with RAY_AUTH_MODE=token.
# Source: ray/_private/authentication/authentication_token_setup.py: enable_token_auth_by_default() for new local clusters,
# maybe_enable_token_auth_if_token_available() for `ray start --head`; neither is called for a driver that is given an address. Ray's
# documentation says that local clusters have tokens by default since 2.59, and all clusters from 2.61 on.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); group=
stop() { [ -z "$group" ] || kill -KILL -- "-$group" 2> /dev/null || true; group=; sleep 2; }
trap 'stop; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q ray==2.60.0
export HOME=$folder/home RAY_USAGE_STATS_ENABLED=0
mkdir "$HOME"
unset RAY_ADDRESS RAY_AUTH_MODE RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start() {
    setsid "$folder/venv/bin/ray" start --head --block --port "$port" --num-cpus 1 --include-dashboard false --temp-dir "$folder/ray" > "$folder/log" 2>&1 &
    group=$!
    for _ in $(seq 100); do python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2> /dev/null && break; sleep 0.3; done
    sleep 5
}
join() {
    "$folder/venv/bin/python" - "$port" 2> "$folder/errors" << 'PYTHON'
import sys, ray

try:
    ray.init(address=f"127.0.0.1:{sys.argv[1]}", logging_level="ERROR", log_to_driver=False)
    print("joined")
except ConnectionError as error:
    print(f"{type(error).__name__}: {str(error).split(' at ')[0]}")
PYTHON
}
start; first=$(join); stop
echo "before: $first"
"$folder/venv/bin/python" -c 'import ray; ray.init(address="local", num_cpus=1, include_dashboard=False, logging_level="ERROR")' > /dev/null 2>&1
echo "a program with a Ray of its own has ended; in ~/.ray: $(ls "$HOME/.ray")"
start; second=$(join)
echo "after: $second"
third=$(RAY_AUTH_MODE=token join)
echo "after, with RAY_AUTH_MODE=token: $third"
[ "$first" = joined ] && [ "$second" = "ConnectionError: Failed to connect to Ray cluster" ] && [ "$third" = joined ]
