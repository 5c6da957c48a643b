"""Ray's workers give the rows of one machine."""

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.rewriters import OUTSIDE, move_outside, rewrite
from PIL import Image

import infer.pipeline.ray_engine
from infer.core.errors import ImageError, LabError, ModelError
from infer.model.session import Session
from infer.pipeline.classify import Ensemble
from infer.pipeline.ray_cluster import Pool


def test_the_error_of_a_worker_is_found_inside_those_of_ray() -> None:
    class WrappedError(Exception):
        cause = ModelError("damaged")

    outer = ValueError("ray says much\nand more")
    outer.__cause__ = WrappedError()
    assert str(infer.pipeline.ray_engine._cause(outer)) == "damaged"
    assert "a worker failed: and more" in str(infer.pipeline.ray_engine._cause(ValueError("ray says much\nand more")))


def test_a_finished_prediction_that_is_resumed_starts_no_cluster(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer.pipeline.ray_engine, "start_pool", pytest.fail)
    ensemble = Ensemble([Session(model, "cpu")], 5, 2)
    assert list(infer.pipeline.ray_engine.classify_on_cluster(ensemble, [], "cpu")) == []


def test_a_worker_has_its_models_files_until_it_ends(
    model: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    monkeypatch.setattr(ray, "get", lambda content: content)
    worker = infer.pipeline.ray_engine.Worker([[model.read_bytes()] * 2], "cpu", "auto", Pool(1, 1, 0), 4, "none")
    paths = [session.path for session in worker.sessions]
    assert [path.read_bytes() for path in paths] == [model.read_bytes()] * 2
    del worker
    gc.collect()
    assert not any(path.parent.exists() for path in paths)


@pytest.fixture
def ray_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ray on this machine, which the first prediction starts, and blocks that could come in another order."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    monkeypatch.setattr(infer.pipeline.ray_engine, "BATCHES", 1)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield
    ray.shutdown()


@pytest.mark.long
@pytest.mark.usefixtures("ray_here")
def test_the_files_are_those_of_one_machine_by_uri_and_by_path_although_a_worker_process_is_killed(
    lab: Callable,
    model: Path,
    cells: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    images, killed = tmp_path / "images", tmp_path / "killed"
    images.mkdir()
    for turn in range(2):
        for file in sorted((cells / "test").iterdir()):
            with Image.open(file) as image:
                image.rotate(90 * turn).save(images / f"{turn}-{file.stem}.png")
    (images / "1-bad.png").write_bytes(b"no image")

    class MortalWorker(infer.pipeline.ray_engine.Worker):
        """Ends its process in the middle of the second block, once."""

        def __call__(self, rows: Any) -> Any:
            answer = super().__call__(rows)
            turns = tmp_path / "turns"
            turns.write_text(turns.read_text() + "x" if turns.exists() else "x")
            if turns.read_text() == "xx" and not killed.exists():
                killed.write_text(str(os.getpid()))
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

    def predicted(source: str, out: str, engine: str) -> list[bytes]:
        outputs = ("--out", f"{out}/s.csv", "--probabilities", f"{out}/p.csv")
        options = ("--model", model, "-b", "4", "--tta", "flips", "--bad-images", "skip", "--engine", engine)
        ran = lab("predict", source, *options, *outputs)
        assert ran.code == 0, ran.err
        assert "device: " in ran.out + ran.err
        return [Path(out.removeprefix("file://"), name).read_bytes() for name in ("s.csv", "p.csv")]

    alone = predicted(str(images), str(tmp_path / "alone"), "local")
    assert alone[0].count(b"\n") == 25
    assert predicted(f"file://{images}", f"file://{tmp_path}/uri", "ray") == alone
    assert "no image" not in (tmp_path / "uri" / "s.bad.csv").read_text()
    assert (tmp_path / "uri" / "s.bad.csv").read_text().count("1-bad.png") == 2
    monkeypatch.setattr(infer.pipeline.ray_engine, "Worker", MortalWorker)
    assert predicted(str(images), str(tmp_path / "path"), "ray") == alone
    assert int(killed.read_text()) != os.getpid()
    assert "logging.cc" not in capfd.readouterr().err  # Ray's own messages


def test_a_model_with_weights_in_another_file_is_not_sent_to_workers(model: Path, tmp_path: Path) -> None:
    path = rewrite(model, move_outside, tmp_path / "a.onnx")
    ensemble = Ensemble([Session(path, "cpu", accept_changed=True)], 1, 1)
    with pytest.raises(ModelError, match=rf"--engine ray sends .* alone .*keeps weights in {OUTSIDE}"):
        next(infer.pipeline.ray_engine.classify_on_cluster(ensemble, ["a.png"], "cpu"))


def test_an_image_error_can_be_sent_from_a_worker() -> None:
    import pickle

    error: LabError = pickle.loads(pickle.dumps(ImageError("a.png", "damaged", True)))
    assert str(error) == "a.png: damaged"
