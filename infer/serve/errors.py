"""Requests that are not answered: the HTTP status, what is wrong, and the remedy."""

import math
from collections.abc import Mapping

from infer.core.text import shown

LONGEST_RETRY = 60
"""Seconds after which a refused client is asked to come back, at most: until then much may change."""


class RequestError(Exception):
    """A request that is refused.

    Attributes:
        status: of the HTTP response.
        reason: what is wrong.
        remedy: what the client can do.
        headers: of the HTTP response, beside the usual ones.
    """

    def __init__(self, status: int, reason: str, remedy: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, reason, remedy)
        self.status, self.reason, self.remedy = status, reason, remedy
        self.headers = dict(headers or {})

    def to_json(self) -> dict[str, str]:
        """The content of the response."""
        return {"error": shown(self.reason), "remedy": shown(self.remedy)}


def busy(reason: str, wait: float = 0.0) -> RequestError:
    """The refusal of a request for which there is no room now, and is likely to be after `wait` seconds."""
    seconds = max(1, math.ceil(min(wait, LONGEST_RETRY)))
    return RequestError(503, reason, "send it again after the seconds in Retry-After", {"Retry-After": str(seconds)})


def with_remedy(message: str, remedy: str) -> tuple[str, str]:
    """The parts of a LabError's message: what is wrong, and the remedy after the last semicolon, else this one."""
    reason, _, own = message.rpartition("; ")
    return (reason, own) if reason else (message, remedy)
