"""HTTP connections that cannot be held open for nothing: a head, a body and an answer each have their time."""

import asyncio
import json
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, which itself waits for ever for a head, and for a client that does not read its answer."""

    seconds: ClassVar[float] = 30.0
    most: ClassVar[int] = 2_000
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head; one connection too many is closed."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
        else:
            self._expect()

    def data_received(self, data: bytes) -> None:
        """Take bytes; once a head is complete, the application has its own limit of time."""
        super().data_received(data)
        if self._is_answering:
            self._stop()

    def on_response_complete(self) -> None:
        """Begin to wait for the next head, and for what is left of the body."""
        self._expect()
        super().on_response_complete()
        if self._is_answering:  # a request that was already there
            self._stop()

    def pause_writing(self) -> None:
        """Begin to wait for the client, which does not read."""
        super().pause_writing()
        self._expect()

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all waiting."""
        self._stop()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP in the form of all errors."""
        content = json.dumps({"error": msg, "remedy": "send HTTP/1.1"}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        events: list[Any] = [
            h11.Response(status_code=400, headers=[*headers, (b"connection", b"close")], reason=b"Bad Request"),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _is_answering(self) -> bool:
        """Whether the next step is the application's, not the client's, which may send more and still not read."""
        return self.cycle is not None and not self.cycle.response_complete and not self.flow.write_paused

    def _expect(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(self.seconds, self.transport.abort)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
