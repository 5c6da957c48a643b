"""The workers fit the cluster; one that cannot be joined is an error with the remedy."""

import os
from pathlib import Path

import pytest

from infer.core.errors import DeviceError
from infer.pipeline import ray_cluster
from infer.pipeline.ray_cluster import Pool, plan, start_pool


def node(cpus: float, gpus: float = 0) -> dict[str, float]:
    return {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}


@pytest.mark.parametrize(
    ("nodes", "device", "pool"),
    [
        ([node(2)], "auto", Pool(1, 2, 0)),
        ([node(1)], "cpu", Pool(1, 1, 0)),
        ([node(16)], "auto", Pool(4, 4, 0)),
        ([node(16), node(6), node(2)], "auto", Pool(12, 2, 0)),
        ([node(16), {}], "auto", Pool(4, 4, 0)),
        ([node(16, 1)], "auto", Pool(1, 16, 1)),
        ([node(16, 2), node(8, 4), node(64)], "cuda", Pool(6, 2, 1)),
        ([node(2, 4)], "cuda", Pool(2, 1, 1)),
        ([node(16, 2)], "cpu", Pool(4, 4, 0)),
    ],
)
def test_a_plan_fits_every_node(nodes: list[dict[str, float]], device: str, pool: Pool) -> None:
    assert plan(nodes, device) == pool  # type: ignore[arg-type]
    assert pool.workers * pool.cpus <= sum(item.get("CPU", 0) for item in nodes)
    assert pool.workers * pool.gpus <= sum(item.get("GPU", 0) for item in nodes)


def test_a_plan_names_what_runs_the_models() -> None:
    assert Pool(3, 4, 0).text("onnxruntime") == "3 of Ray's workers, each with CPUExecutionProvider, 4 CPUs"
    assert Pool(1, 2, 0).text("openvino") == "1 of Ray's workers, each with OpenVINO, 2 CPUs"
    gpus = "2 of Ray's workers, each with CUDAExecutionProvider, a GPU and 8 CPUs"
    assert Pool(2, 8, 1).text("onnxruntime") == gpus


@pytest.mark.parametrize(("nodes", "device"), [([node(16)], "cuda"), ([{}], "auto"), ([], "cpu"), ([node(0.5)], "cpu")])
def test_a_cluster_without_room_is_refused(nodes: list[dict[str, float]], device: str) -> None:
    with pytest.raises(DeviceError, match="no node of the cluster has a"):
        plan(nodes, device)  # type: ignore[arg-type]


def test_a_cluster_that_does_not_answer_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(DeviceError, match=r"no cluster answers at RAY_ADDRESS 127\.0\.0\.1:1"):
        start_pool("cpu")


@pytest.mark.parametrize(
    ("joining", "message"),
    [
        ("os._exit(1)", "no node of the cluster at RAY_ADDRESS head:6379 runs on this machine; .*: ray start"),
        ("raise RuntimeError('another version\\nand more')", "Ray does not start: another version; check RAY_ADDRESS"),
        (
            "print('Unauthenticated: RPC error', file=sys.stderr); raise ConnectionError('failed')",
            "asks for its token; set RAY_AUTH_MODE=token",
        ),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_an_error_also_where_ray_would_end_the_process(
    joining: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    (tmp_path / "ray.py").write_text(f"import os, sys\ndef init(**_):\n    {joining}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(ray_cluster, "_require_reachable", lambda address: None)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("it would end this process"))
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(DeviceError, match=message):
        start_pool("cpu")


def test_ray_joins_no_cluster_that_it_finds_on_this_machine_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    begun: list[tuple[object, object]] = []
    monkeypatch.setattr(ray, "init", lambda address, num_cpus, **_: begun.append((address, num_cpus)))
    monkeypatch.setattr(ray, "nodes", lambda: [{"Resources": node(2), "Alive": True}])
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of the user")
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setattr(ray_cluster, "cores", lambda: 3)
    assert start_pool("cpu") == Pool(1, 2, 0)
    assert os.environ["RAY_AUTH_TOKEN"]  # with which Ray leaves none in the user's folder
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert start_pool("cpu") == Pool(1, 2, 0)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setattr(ray_cluster, "TRIAL", "pass")
    assert start_pool("cpu") == Pool(1, 2, 0)
    assert begun == [("local", 3), ("local", 3), (None, None)]
