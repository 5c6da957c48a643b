"""Images arrive in a form, as base64 or as they are; everything else is refused as HTTP means it."""

import asyncio
import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence

import httpx
import pytest
from helpers.serving import config_for
from starlette.requests import Request

from infer.images.upload import Upload
from infer.serve import bodies
from infer.serve.admission import Admission
from infer.serve.bodies import open_body, read_uploads
from infer.serve.errors import RequestError

A, B = b"first", b"\x00\xff second"


def read(parts: Sequence[bytes], headers: dict[str, str], gone: bool = False, **limits: object) -> list[Upload]:
    """The images of a request whose body arrives in parts; `gone`: the client then closes the connection."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return messages.pop(0)

    async def run() -> list[Upload]:
        raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)
        admission = Admission(10, int(limits.pop("admitted", 10**9)), 60)
        async with open_body(request, config_for(**limits), admission) as body:
            uploads = await read_uploads(body)
            assert admission.nbytes == sum(map(len, parts))
        assert admission.nbytes == 0
        return uploads

    return asyncio.run(run())


def as_form(*files: tuple[str, bytes], field: str = "images") -> tuple[list[bytes], dict[str, str]]:
    request = httpx.Request("POST", "http://x", files=[(field, file) for file in files])
    content = request.read()
    return [content[:40], content[40:]], {"content-type": request.headers["content-type"]}


def as_json(value: object) -> tuple[list[bytes], dict[str, str]]:
    return [json.dumps(value).encode()], {"content-type": "application/json; charset=utf-8"}


def counted(function: Callable, calls: list[bytes]) -> Callable:
    """The function, whose argument is kept at each call."""

    def call(content: bytes) -> object:
        calls.append(content)
        return function(content)

    return call


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def refused(parts: Sequence[bytes], headers: dict[str, str], **more: object) -> RequestError:
    with pytest.raises(RequestError) as error:
        read(parts, headers, **more)
    return error.value


def test_all_forms_give_the_same_images() -> None:
    expected = [Upload("a.png", A), Upload("b.jpg", B)]
    assert read(*as_form(("a.png", A), ("b.jpg", B))) == expected
    named = [{"name": "a.png", "data": base64_of(A)}, {"name": "b.jpg", "data": base64_of(B)}]
    assert read(*as_json({"images": named})) == expected
    assert read(*as_json(named)) == expected
    assert read(*as_json([base64_of(A)])) == [Upload("image 1", A)]
    for kind in ("image/png", "application/octet-stream", "application/dicom"):
        assert read([B], {"content-type": kind}) == [Upload("image", B)]


def test_a_name_may_have_any_character_also_one_that_json_writes_in_two_halves() -> None:
    named = [{"name": "\N{MICROSCOPE}.png", "data": base64_of(A)}]
    assert b"\\ud83d\\udd2c" in as_json(named)[0][0]
    assert read(*as_json(named)) == [Upload("\N{MICROSCOPE}.png", A)]
    parts, headers = as_form(("\N{MICROSCOPE}.png", A))
    assert read(parts, {"content-type": f"{headers['content-type']}; charset=UTF-8"})[0].content == A


def test_a_body_of_several_megabytes_is_read_whole() -> None:
    content = bytes(range(256)) * 16_000
    assert read(*as_form(("a.png", content))) == [Upload("a.png", content)]
    assert read(*as_json([base64_of(content)])) == [Upload("image 1", content)]


@pytest.mark.parametrize(
    ("parts", "headers", "reason"),
    [
        ([b"{"], {"content-type": "application/json"}, "not JSON"),
        ([b"[" * 200_000], {"content-type": "application/json"}, "not JSON"),
        (*as_json({"images": "x"}), "no list of images"),
        (*as_json([7]), "image 1 is not a text of base64"),
        (*as_json(["no base64!"]), "image 1 is not base64"),
        (*as_json({"images": []}), "has no image"),
        (*as_json([{"name": "\ud800", "data": base64_of(A)}]), "not JSON: .* surrogates not allowed"),
        ([b'["\xed\xa0\x80"]'], {"content-type": "application/json"}, "not JSON: 'utf-8' codec"),
        *(
            (as_form(("a.png", A))[0], {"content-type": f"multipart/form-data; boundary=x; charset={charset}"}, charset)
            for charset in ("utf-7", "undefined", "raw_unicode_escape", "no-such")
        ),
        ([b"x"], {"content-type": "multipart/form-data"}, "boundary"),
        ([b"no form"], {"content-type": "multipart/form-data; boundary=x"}, "form cannot be read|has no image"),
        (
            [b"--x\r\nContent-Disposition: form-data\r\n\r\n"],
            {"content-type": "multipart/form-data; boundary=x"},
            "name",
        ),
    ],
)
def test_what_cannot_be_read_is_400(parts: list[bytes], headers: dict[str, str], reason: str) -> None:
    error = refused(parts, headers)
    assert error.status == 400
    assert re.search(reason, error.reason), error.reason
    assert error.remedy


def test_a_body_that_is_too_large_is_413_by_its_header_or_as_it_arrives() -> None:
    kind = {"content-type": "image/png"}
    assert refused([], {**kind, "content-length": "1000001"}, max_megabytes=1).status == 413
    assert refused([bytes(600_000)] * 2, kind, max_megabytes=1).status == 413
    assert read([bytes(1_000_000)], kind, max_megabytes=1)


@pytest.mark.parametrize(
    "part",
    [
        b"\x95--x\r\n",
        b"--x-\r\n",
        b"--x\r\nContent-Disposition\xe7: form-data\r\n\r\nA\r\n--x--\r\n",
        b"--x\r\n: \x00\r\n\r\n",
    ],
    ids=["boundary", "its end", "header", "empty header"],
)
def test_a_broken_form_writes_nothing_to_the_log(part: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert refused([part], {"content-type": "multipart/form-data; boundary=x"}).status == 400
    assert caplog.records == []


def test_too_many_images_are_413_in_each_form() -> None:
    files = [("a.png", A)] * 4
    assert refused(*as_form(*files), max_images=3).status == 413
    assert refused(*as_form(*files), max_images=2).status == 413
    assert refused(*as_json([base64_of(A)] * 4), max_images=3).status == 413
    assert len(read(*as_form(*files), max_images=4)) == 4


def test_another_type_or_a_compressed_body_is_415() -> None:
    assert refused([A], {"content-type": "text/plain"}).status == 415
    assert refused([A], {}).status == 415
    assert refused([A], {"content-type": "image/png", "content-encoding": "gzip"}).status == 415


def test_a_client_that_goes_away_or_is_too_slow_is_answered() -> None:
    assert refused([A], {"content-type": "image/png"}, gone=True).status == 400
    parts, headers = as_form(("a.png", A))
    assert refused(parts[:1], headers, gone=True).status == 400

    async def wait() -> dict[str, object]:
        await asyncio.sleep(30)
        return {}

    async def run() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"image/png")]}
        async with open_body(Request(scope, wait), config_for(timeout=0.05), Admission(1, 1, 60)) as body:
            await read_uploads(body)

    with pytest.raises(RequestError) as error:
        asyncio.run(run())
    assert error.value.status == 408


def test_requests_that_together_have_too_many_bytes_are_503() -> None:
    error = refused([bytes(600), bytes(600)], {"content-type": "image/png"}, admitted=1000)
    assert (error.status, error.headers) == (503, {"Retry-After": "1"})


@pytest.mark.parametrize("as_body", [as_form, lambda file: as_json([base64_of(file[1])])], ids=["form", "JSON"])
def test_of_requests_that_arrive_together_only_those_that_have_room_are_parsed(
    as_body: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    (content, *more), headers = as_body(("a.png", A))
    parts, parsed, outcomes = (content[:20], content[20:], *more), list[bytes](), Counter[str]()
    for name in ("_from_json", "_pieces"):
        monkeypatch.setattr(bodies, name, counted(getattr(bodies, name), parsed))
    admission, go = Admission(4, 10**6, 60), asyncio.Event()

    async def one() -> None:
        messages = [{"type": "http.request", "body": part, "more_body": part is not parts[-1]} for part in parts]

        async def receive() -> dict[str, object]:
            await asyncio.sleep(0)  # so that each has its head and half of its body before any has all
            return messages.pop(0)

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)
        try:
            async with open_body(request, config_for(), admission) as body:
                with admission.hold_images(len(await read_uploads(body))):
                    outcomes["accepted"] += 1
                    await go.wait()
        except RequestError as error:
            outcomes[str(error.status)] += 1
        if outcomes.total() == 40:
            go.set()

    async def run() -> None:
        await asyncio.gather(*(one() for _ in range(40)))

    asyncio.run(run())
    assert (len(parsed), outcomes) == (4, {"accepted": 4, "503": 36})
    assert (admission.images, admission.nbytes) == (0, 0)


def test_a_client_that_sends_slowly_holds_no_place() -> None:
    async def wait() -> dict[str, object]:
        await asyncio.sleep(30)
        return {}

    async def run() -> None:
        admission = Admission(1, 10**6, 60)
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"image/png")]}
        async with open_body(Request(scope, wait), config_for(), admission) as body:
            slow = asyncio.create_task(read_uploads(body))
            await asyncio.sleep(0)
            with admission.hold_images(1):
                pass
            slow.cancel()

    asyncio.run(run())
