"""Reads the images of a request: a form, JSON with base64, or one image as it is."""

import asyncio
import base64
import binascii
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import python_multipart
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from infer.core.parse import parse_json
from infer.images.upload import Upload
from infer.serve.admission import Admission, HeldBytes
from infer.serve.config import ServeConfig
from infer.serve.errors import RequestError

KINDS = (
    "multipart/form-data, application/json, or one image as image/jpeg, application/dicom or application/octet-stream"
)
RAW = ("image/", "application/dicom", "application/octet-stream")
"""Content types of one image as it is, by their beginnings."""
JSON_FORM = 'send {"images": [{"name": "a.png", "data": "BASE64"}, ...]}, or a list of base64 texts'
FORM = "send each image as a file: curl -F images=@a.png -F images=@b.png"
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")
"""A surrogate in JSON: two of them are a character, and one alone is none."""
MOST_DIGITS = 18
LONGEST_NAME = 255
MANY_BYTES = 1_000_000
"""From this size on, a body is parsed beside the event loop."""

# It warns of each broken form, which its client is told: without this, clients write to the server's standard error.
logging.getLogger(python_multipart.__name__).setLevel(logging.ERROR)


class Body:
    """The body of a request, which is read within the limits of time and size."""

    def __init__(self, request: Request, config: ServeConfig, admission: Admission, held: HeldBytes) -> None:
        """Refuse what is announced as too large. Raises RequestError."""
        self.request, self.config, self._admission, self._held = request, config, admission, held
        if request.headers.get("content-encoding", "identity") != "identity":
            raise RequestError(415, "the body is compressed", "send it as it is, without Content-Encoding")
        if (length := request.headers.get("content-length", "")).isdigit():
            size = whole_number(length)
            if size is None or size > config.max_megabytes * 10**6:
                raise self._too_large()

    async def content(self) -> bytes:
        """The whole body, whose images there is still room for.

        Requests that arrive together all find room before their bodies are there; those that have none afterwards are
        refused here, unparsed. A client that sends slowly holds bytes meanwhile, but no other's place.

        Raises:
            RequestError: it is too large, has no room beside the others, or its images have none.
        """
        chunks, count = [], 0
        async for chunk in self.request.stream():
            count += len(chunk)
            if count > self.config.max_megabytes * 10**6:
                raise self._too_large()
            self._held.add(len(chunk))
            chunks.append(chunk)
        self._admission.require_room()
        return b"".join(chunks)

    def _too_large(self) -> RequestError:
        limit = self.config.max_megabytes
        return RequestError(413, f"the request has more than {limit} MB", "send fewer images at once, or smaller ones")


@asynccontextmanager
async def open_body(request: Request, config: ServeConfig, admission: Admission) -> AsyncIterator[Body]:
    """Give the body of a request, whose bytes count as held until the block ends.

    Raises:
        RequestError: there is no room for another image, so that a server under load does not parse what it refuses;
            or the body is refused by its head.
    """
    admission.require_room()
    with admission.hold_bytes() as held:
        yield Body(request, config, admission, held)


@asynccontextmanager
async def time_to_receive(seconds: float) -> AsyncIterator[None]:
    """Raise RequestError where the block, which receives a request, takes longer, or the client has gone."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise RequestError(
            408, f"the request did not arrive within {seconds:g} s", "send it faster", {"Connection": "close"}
        ) from None
    except ClientDisconnect:
        raise RequestError(400, "the request ended too early", "send the whole body") from None


async def read_uploads(body: Body) -> list[Upload]:
    """The images of a request. Raises RequestError."""
    kind = body.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    async with time_to_receive(body.config.timeout):
        if kind == "multipart/form-data":
            uploads = await _from_form(body)
        elif kind == "application/json":
            content = await body.content()
            uploads = await asyncio.to_thread(_from_json, content) if len(content) > MANY_BYTES else _from_json(content)
        elif kind.startswith(RAW):
            uploads = [Upload("image", await body.content())]
        else:
            raise RequestError(415, f"the content type is {kind or 'missing'}", f"send {KINDS}")
    return _checked(uploads, body.config)


def _checked(uploads: Sequence[Upload], config: ServeConfig) -> list[Upload]:
    if not uploads:
        raise RequestError(400, "the request has no image", FORM)
    if len(uploads) > config.max_images:
        reason = f"the request has {len(uploads)} images, more than {config.max_images}"
        raise RequestError(413, reason, "send them in several requests")
    return list(uploads)


class _Form(MultiPartParser):
    """A parser that keeps files in memory: the size of the whole body is limited."""

    spool_max_size = 2**40


async def _from_form(body: Body) -> list[Upload]:
    limit = body.config.max_images
    _require_utf8(body.request.headers["content-type"])
    parser = _Form(body.request.headers, _pieces(await body.content()), max_files=limit + 1, max_fields=limit)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if "Too many files" in error.message:
            reason = f"the request has more than {limit} images"
            raise RequestError(413, reason, "send them in several requests") from None
        raise RequestError(400, f"the form cannot be read: {error.message}", FORM) from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    names = [_name(file.filename, number) for number, file in enumerate(files, 1)]
    return [Upload(name, file.file.read()) for name, file in zip(names, files, strict=True)]


def _require_utf8(content_type: str) -> None:
    """Raises RequestError for a form in another charset, in which names could be what no answer can hold."""
    charset = parse_options_header(content_type)[1].get(b"charset", b"utf-8").decode("latin-1")
    if charset.lower() not in ("utf-8", "utf8"):
        raise RequestError(400, f"the form's charset is {charset}", "send UTF-8, and leave charset out")


async def _pieces(content: bytes) -> AsyncGenerator[bytes, None]:
    """A body in pieces, between which other requests have their turn."""
    for start in range(0, len(content), MANY_BYTES):
        if start:
            await asyncio.sleep(0)
        yield content[start : start + MANY_BYTES]
    yield b""


def whole_number(text: str) -> int | None:
    """The number that digits write; None for other text, and for more digits than any size has."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def read_json(content: bytes) -> Any:
    """The values of JSON in UTF-8, whose texts an answer can hold. Raises RequestError."""
    try:
        text = content.decode("utf-8-sig")
        values = parse_json(text)
        if HALF_CHARACTER.search(text):  # ... unless its other half follows
            json.dumps(values, ensure_ascii=False).encode()
        return values
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}", JSON_FORM) from None


def _from_json(content: bytes) -> list[Upload]:
    values = read_json(content)
    images = values.get("images") if isinstance(values, dict) else values
    if not isinstance(images, list):
        raise RequestError(400, "the JSON has no list of images", JSON_FORM)
    return [_from_item(item, number) for number, item in enumerate(images, 1)]


def _from_item(item: Any, number: int) -> Upload:
    data, name = (item.get("data"), item.get("name")) if isinstance(item, dict) else (item, None)
    if not isinstance(data, str) or not isinstance(name, str | None):
        raise RequestError(400, f"image {number} is not a text of base64", JSON_FORM)
    return Upload(_name(name, number), decode_base64(data, f"image {number}"))


def decode_base64(text: str, what: str) -> bytes:
    """The bytes that base64 stands for. Raises RequestError, which names `what`."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, f"{what} is not base64: {error}", JSON_FORM) from None


def _name(name: str | None, number: int) -> str:
    return (name or f"image {number}")[:LONGEST_NAME]
