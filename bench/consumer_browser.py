"""What bench/consumers.py and bench/decoders.py run in Chromium: serves a page on 127.0.0.1, waits for its last word.

python consumer_browser.py wasm|webgpu NODE_MODULES MODEL IMAGES OUT TYPE N ...SHAPE
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread

from consumer_environments import chromium

PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
import * as ort from "/dist/ort.webgpu.bundle.min.mjs";
import { answer } from "/consumer_answer.mjs";
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = "/dist/";
const content = async (name) => (await fetch(name)).arrayBuffer();
const send = (kind, body) => fetch("/" + kind, { method: "POST", body });
try {
  const missing = "RUNNER" === "webgpu" && !await navigator.gpu?.requestAdapter();
  if (missing) throw new Error("the browser has no WebGPU adapter");
  const options = { executionProviders: ["RUNNER"] };
  const session = await ort.InferenceSession.create(new Uint8Array(await content("/model")), options);
  const { probabilities, batch } = await answer(ort, session, await content("/images"), "TYPE", SHAPE);
  await send("probabilities", probabilities);
  await send("end", JSON.stringify({ batch }));
} catch (error) { await send("end", JSON.stringify({ refused: String(error.message ?? error) })); }
</script>"""
WEBGPU = ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader")
TYPES = {".mjs": "text/javascript", ".wasm": "application/wasm"}


class Handler(BaseHTTPRequestHandler):
    """Serves the page and what it asks for; puts its last word into a queue."""

    def __init__(self, *request: object, files: dict[str, Path], page: str, end: "Queue[str]") -> None:
        self.files = files
        self.page = page
        self.end = end
        super().__init__(*request)  # type: ignore[arg-type]

    def path_of_request(self) -> Path | None:
        """The file that the address names, itself or in its folder; None: the page."""
        folder, _, name = self.path[1:].rpartition("/")
        file = self.files.get(folder or name)
        return file / name if folder and file else file

    def do_GET(self) -> None:
        path = self.path_of_request()
        content = self.page.encode() if path is None else path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", TYPES.get(path.suffix, "application/octet-stream") if path else "text/html")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if path := self.path_of_request():
            path.write_bytes(body)
        else:
            self.end.put(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: the last line of output is the result."""


def main(runner: str, modules: str, model: str, images: str, out: str, kind: str, *shape: str) -> str:
    """The page's last word, as JSON."""
    page = PAGE.replace("RUNNER", runner).replace("TYPE", kind).replace("SHAPE", f"[{','.join(shape)}]")
    files = {"dist": Path(modules) / "onnxruntime-web" / "dist", "model": Path(model), "images": Path(images)}
    files |= {"consumer_answer.mjs": Path(__file__).with_name("consumer_answer.mjs"), "probabilities": Path(out)}
    return last_word(page, files, WEBGPU if runner == "webgpu" else ())


def last_word(page: str, files: dict[str, Path], options: Sequence[str] = ()) -> str:
    """What a page in Chromium sends to /end; it may fetch and send the named files, and those in named folders."""
    end: Queue[str] = Queue()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files=files, page=page, end=end))
    Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [chromium(), "--headless=new", "--no-sandbox", f"--user-data-dir={profile}", *options]
        browser = subprocess.Popen(
            [*command, f"http://127.0.0.1:{server.server_port}/"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            return end.get()
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()


if __name__ == "__main__":
    print(json.dumps(json.loads(main(*sys.argv[1:]))))
