#!/usr/bin/env bash
# 2026-11-29. LitServe 0.2.19, uvicorn 0.54.0, FastAPI 0.165.0; Python 3.11, Linux.
#
# Expected: SIGTERM to the process of the script that runs a server, as a service manager sends it, ends the server gracefully, as the
# docstring of LitServer.run() says: it accepts no more requests, and its port is free for the next.
# Seen: that process ends alone. The processes that it started, one that listens and one that runs the model, go on: seconds later the
# port still answers requests with 200. A second server started in its place has the port taken, and a benchmark that ends one server
# before it measures the next shares the cores with it.
# Source: LitServer.run() in litserve/server.py waits for its child processes and stops them at KeyboardInterrupt; SIGTERM has no handler
# there.
# Exits 0 while this is so.
set -euo pipefail
folder=$(mktemp -d); server=
trap '[ -z "$server" ] || kill -KILL -- "-$server" 2> /dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q litserve==0.2.19 uvicorn==0.54.0 fastapi==0.165.0
cat > "$folder/server.py" << 'PYTHON'
import sys

import litserve


class Echo(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["x"]

    def predict(self, x):
        return x

    def encode_response(self, output):
        return {"x": output}


if __name__ == "__main__":
    litserve.LitServer(Echo(max_batch_size=1), accelerator="cpu").run(port=int(sys.argv[1]), generate_client_file=False)
PYTHON
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
ask() {
    python3 - "$port" << 'PYTHON'
import sys, urllib.request

request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/predict", b'{"x": 1}', {"Content-Type": "application/json"})
try:
    print(urllib.request.urlopen(request, timeout=5).status)
except OSError as error:
    print(type(error).__name__)
PYTHON
}
cd "$folder"
setsid "$folder/venv/bin/python" server.py "$port" > "$folder/log" 2>&1 &
server=$!
for _ in $(seq 100); do [ "$(ask)" = 200 ] && break; sleep 0.3; done
echo "before: $(ask)"
kill -TERM "$server"
wait "$server" || echo "exit status of the process that got SIGTERM: $?"
sleep 5
after=$(ask)
echo "5 s after it ended: $after, $(pgrep -c -s "$server") processes left"
[ "$after" = 200 ]
