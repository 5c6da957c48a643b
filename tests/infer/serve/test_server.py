"""`lab serve` starts in one line of error or listens, and ends without losing what it accepted."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from helpers.serving import config_for, form, served, wait_until_ready

import infer.serve.server
from infer.core.errors import ConfigError, DeviceError
from infer.serve.engine import Engine
from infer.serve.server import address_of, bind

ROOT = Path(__file__).parents[3]


def test_a_free_port_is_found_and_a_taken_one_is_an_error_with_its_remedy() -> None:
    with bind(config_for()) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        first.listen()
        message = f"cannot listen at 127.0.0.1:{port}: .*give another --host or --port"
        with pytest.raises(ConfigError, match=message), bind(config_for(port=port)):
            pass
    for host in ("no such host", "203.0.113.1", "a" * 300):
        with pytest.raises(ConfigError, match="cannot listen at"), bind(config_for(host=host)):
            pass


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6")
def test_an_address_of_version_6_has_brackets() -> None:
    try:
        with bind(config_for(host="::1")) as listener:
            assert address_of(listener).startswith("http://[::1]:")
    except ConfigError:
        pytest.skip("this machine has no IPv6")


def test_a_server_says_where_it_is_and_warns_of_an_open_door(model: Path) -> None:
    with served(model, host="0.0.0.0") as running:
        said = running.said.getvalue()
        assert "note: whoever reaches this address may use it; --token-file asks for a token" in said
        assert "/v1/predict" in said
    with served(model) as running:
        assert f"ready: {running.url}," in running.said.getvalue()
        assert "note: whoever" not in running.said.getvalue()


def test_it_is_ready_only_after_the_warm_up_and_fails_with_it(
    model: Path, monkeypatch: pytest.MonkeyPatch, lab: Callable
) -> None:
    def fail(self: Engine) -> None:
        time.sleep(0.2)
        raise DeviceError("the memory is exhausted; give a smaller --max-batch")

    monkeypatch.setattr(Engine, "warm_up", fail)
    ran = lab("serve", model, "--port", "0", "--decoders", "0")
    assert (ran.code, ran.err) == (1, "error: the memory is exhausted; give a smaller --max-batch\n")
    assert "ready" not in ran.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.onnx",), "missing.onnx"),
        (("--token-file", "missing"), "cannot read --token-file missing"),
        (("--host", "no such host"), "cannot listen at no such host"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    lab: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = lab("serve", "--port", "0", *arguments)
    assert ran.code in (1, 2)
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_missing_package_is_named_with_its_remedy(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    ran = lab("serve", "a.onnx")
    assert ran.code == 1
    assert "lab serve needs prometheus_client, which is not installed; run pip install '.[serve]'" in ran.err


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_sigterm_ends_a_server_that_has_answered_what_it_accepted_and_sighup_reloads(
    model: Path, images: list[Path]
) -> None:
    with bind(config_for()) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cli", "serve", model, "--port", port, "--device", "cpu", "--decoders", "1"]
    delay = ["--max-delay", "700"]  # so that a request is waiting when the signal comes
    process = subprocess.Popen(
        list(map(str, command + delay)), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client, ThreadPoolExecutor(1) as thread:
            wait_until_ready(client)
            process.send_signal(signal.SIGHUP)
            accepted = thread.submit(client.post, "/v1/predict", files=form(images[0]))
            time.sleep(0.35)
            process.send_signal(signal.SIGTERM)
            assert accepted.result(30).status_code == 200
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "reload: the models' files are those that are loaded" in out


def test_the_limit_of_open_files_is_raised_as_far_as_allowed() -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        infer.serve.server._allow_files(300)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(300, hard) if hard > 0 else 300
        infer.serve.server._allow_files(100)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
