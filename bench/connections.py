"""Whether lab's commands ask the Internet for anything: every call of connect and send, traced.

    python bench/connections.py DATA                                    on Linux, with strace

A small network is trained on DATA, a labelled data set, exported and used, each command in a new home and without the
variable CI, in which libraries are silent. A row for each command: the calls that name an address other than this
machine's own, which are none; name servers count. Exits with 1 where there is one, or where a command fails.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from machine import installed, machine
from serve import wait_for

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = re.compile(r"AF_INET6?, .*?(?:inet_addr\(|inet_pton\(AF_INET6, )\"([^\"]+)\"")
OWN = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0")
SILENCING = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "XDG_CACHE_HOME")
PORT = 8321


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    args = parser.parse_args()
    names = ("onnxruntime-gpu", "openvino", "torch")
    print(f"{machine()}, {', '.join(f'{name} {installed(name)}' for name in names)}")
    print("| command | exit status | other machines asked |\n|---|---|---|")
    found = []
    with tempfile.TemporaryDirectory() as name:
        for words in commands(args.data.resolve(), Path(name)):
            status, asked = traced(words, Path(name))
            shown = " ".join(word for word in map(str, words) if not word.startswith("/"))
            print(f"| `lab {shown}` | {status} | {', '.join(sorted(asked)) or 'none'} |", flush=True)
            found.append(status or asked)
    sys.exit(any(found))


def commands(data: Path, folder: Path) -> Iterator[Sequence[object]]:
    """The arguments of each command; those of a run follow from it."""
    yield ("doctor",)
    yield "data", "check", data, "--out", folder / "checked"
    yield "data", "split", data, "--out", folder / "split"
    yield "train", "resnet18", "--data", data, "--image-size", 32, "--epochs", 1, "--out", folder / "runs"
    (run,) = (folder / "runs").iterdir()
    model = run / "model.onnx"
    yield "export", run
    yield "inspect", model
    yield "verify", model
    yield "export", run, "--precision", "int8", "--out", folder / "int8.onnx"
    for runtime in ("onnxruntime", "openvino"):
        yield "predict", data, "--model", model, "--runtime", runtime, "--no-sample", "--out", folder / f"{runtime}.csv"
    yield "evaluate", data, "--model", model, "--out", folder / "evaluated"
    yield "compare", run, folder / "evaluated", "--out", folder / "compared"
    yield "reproduce", folder / "onnxruntime.csv"
    yield "serve", model, "--port", PORT


def traced(words: Sequence[object], folder: Path) -> tuple[int, set[str]]:
    """The exit status of a command, and the other machines that it or a child of it asked."""
    trace = folder / "trace"
    environment = {name: value for name, value in os.environ.items() if name not in SILENCING}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder)}
    calls = ["strace", "-f", "-qq", "-s", "8", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    command = [*calls, sys.executable, "-m", "cli", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    if words[0] == "serve":
        ask_and_end(process)
    status = process.wait()
    return status, {address for address in ADDRESS.findall(trace.read_text()) if address not in OWN}


def ask_and_end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a service for its page and metrics when it is ready, and end it."""
    wait_for(PORT, "/ready", process)
    for path in ("", "metrics"):
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/{path}").close()
    os.killpg(process.pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
