"""Control headless Chromium by its DevTools protocol, with the standard library alone."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


class Tab:
    """A browser tab. `problems`: errors and warnings so far; `requests`: all URLs that it requested."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive, self._buffer, self._number = send, receive, b"", 0
        self.problems: list[str] = []
        self.requests: list[str] = []
        self._loaded = False
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **values: object) -> dict[str, Any]:
        return self._call(method, self._session, **values)

    def open(self, page: Path) -> None:
        self.visit(page.resolve().as_uri())

    def visit(self, url: str) -> None:
        self._loaded = False
        self.call("Page.navigate", url=url)
        end = time.monotonic() + 30
        while not self._loaded:
            self._take(end)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        response = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in response, response
        return response["result"].get("value")

    def resize(self, width: int, height: int, mobile: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def media(self, kind: str = "screen", scheme: str = "light") -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=kind, features=features)

    def screenshot(self) -> bytes:
        """The full page as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=False)["data"])

    def _call(self, method: str, session: str | None = None, **values: object) -> dict[str, Any]:
        self._number += 1
        number, end = self._number, time.monotonic() + 30
        message = {"id": number, "method": method, "params": values} | ({"sessionId": session} if session else {})
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (response := self._take(end)).get("id") != number:
            pass
        assert "error" not in response, response
        return response["result"]

    def _take(self, end: float) -> dict[str, Any]:
        """Receive the next message, and note events."""
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._receive], [], [], max(0, end - time.monotonic()))
            part = os.read(self._receive, 1 << 20) if ready else b""
            if not part:
                raise TimeoutError("the browser does not respond")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        content = json.loads(message)
        self._note(content.get("method", ""), content.get("params", {}))
        return content

    def _note(self, event: str, values: dict[str, Any]) -> None:
        if event == "Page.loadEventFired":
            self._loaded = True
        elif event == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(str(values["exceptionDetails"]))
        elif event == "Log.entryAdded" and values["entry"]["level"] in ("error", "warning"):
            self.problems.append(values["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.problems.append(str(values["args"]))
        elif event == "Page.javascriptDialogOpening":
            self.problems.append(f"a dialog: {values['message']}")


@contextlib.contextmanager
def open_tab(profile: Path) -> Iterator[Tab]:
    """A tab of a browser whose files are in `profile`; the browser ends with the block."""
    (their_end, send), (receive, other_end) = os.pipe(), os.pipe()
    # numbers above 3 and 4, at which the browser expects them
    inherited = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (their_end, other_end)]
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
    command = [BROWSER, *options, f"--user-data-dir={profile}", "about:blank"]
    launch = (
        f"import os, sys; os.dup2({inherited[0]}, 3); os.dup2({inherited[1]}, 4); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", launch, *map(str, command)], pass_fds=inherited, stderr=subprocess.DEVNULL
    )
    for fd in (*inherited, their_end, other_end):
        os.close(fd)
    try:
        yield Tab(send, receive)
    finally:
        process.terminate()
        process.wait(10)
        os.close(send)
        os.close(receive)
