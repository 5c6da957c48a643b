from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exporter.config import ExportConfig
from infer.config import EvaluateConfig, PredictConfig, ReportConfig, VerifyConfig
from infer.core.errors import ConfigError
from infer.pipeline.fingerprint import FREE_TO_CHANGE
from infer.reports.config import CompareConfig


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"sample": Path("s.csv"), "use_sample": False},
        {"out": Path("x.csv"), "probabilities": Path("x.csv")},
        {"out": Path("in.csv"), "source": Path("in.csv")},
        {"out": Path("in.csv"), "source": Path("in.bad.csv")},
        {"out": Path()},
        {"out": Path("/dev/null")},
        {"probabilities": Path("/")},
    ],
)
def test_options_that_contradict_each_other_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError):
        PredictConfig(**{"source": Path("in"), **options})


@pytest.mark.parametrize(("option", "value"), [("engine", "ray"), ("device", "cpu")])
def test_decode_gpu_contradicts_options_that_use_no_gpu_of_this_machine(option: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"which --{option} {value} does not use; leave one of them out"):
        PredictConfig(source=Path("a"), decode="gpu", **{option: value})


def test_tuning_contradicts_a_cluster() -> None:
    with pytest.raises(ConfigError, match=r"^--tune measures this machine, .* leave one of them out"):
        PredictConfig(source=Path("a"), tune=True, engine="ray")


def test_a_batch_size_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="--batch-size"):
        EvaluateConfig(batch_size=0)
    with pytest.raises(ConfigError, match="--batch-size"):
        VerifyConfig(batch_size=0)


def test_heat_maps_without_thumbnails_are_refused() -> None:
    for given in ({"thumbnails": 0}, {"pictures": False}):
        with pytest.raises(ConfigError, match="--heatmaps needs thumbnails"):
            ReportConfig(heatmaps=True, **given)


def test_top_k_needs_a_file_of_probabilities() -> None:
    with pytest.raises(ConfigError, match="--top-k needs --probabilities"):
        PredictConfig(source=Path("in"), top_k=3)
    assert PredictConfig(source=Path("in"), top_k=3, probabilities=Path("p.csv")).top_k == 3


def test_an_input_is_never_an_output() -> None:
    for name in ("source", "sample", "truth"):
        values: dict[str, Any] = {"source": Path("in"), name: Path("a/../out.csv")}
        with pytest.raises(ConfigError, match=r"out\.csv is read and would be overwritten; give another --out"):
            PredictConfig(out=Path("out.csv"), **values)
    with pytest.raises(ConfigError, match="would be overwritten"):
        PredictConfig(source=Path("in"), out=Path("x.csv"), model=(Path("a.onnx"), Path("x.progress")))


def test_an_input_is_never_an_output_that_a_uri_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.csv is read and would be overwritten; give another --out"):
        PredictConfig(source=Path("in"), truth=tmp_path / "t.csv", out=Path(f"file://{tmp_path}/t.csv"))


def test_folders_are_compared_once_each() -> None:
    with pytest.raises(ConfigError, match="one folder is given twice; give each once"):
        CompareConfig(paths=(Path("a"), Path("b/../a")))
    assert CompareConfig(paths=(Path("a"), Path("b"))).out == Path("compare")


def test_the_fields_of_a_report_come_first_in_the_config_of_a_prediction() -> None:
    """The fingerprint of a prediction is made of the fields in their order."""
    report = [field.name for field in fields(ReportConfig)]
    names = [field.name for field in fields(PredictConfig)]
    assert names[: len(report)] == report == ["normalize", "pictures", "thumbnails", "heatmaps", "json", "raw_csv"]
    compared = [name for name in names[len(report) :] if name not in FREE_TO_CHANGE]
    first = ["tta", "batch_size", "image_column", "sample", "use_sample", "truth"]
    assert compared[: len(first)] == first


@pytest.mark.parametrize("runtime", ["openvino", "openvino-bf16"])
def test_a_runtime_of_cpus_contradicts_a_gpu(runtime: str) -> None:
    options = {"device": "cuda", "runtime": runtime}
    configs = (partial(PredictConfig, source=Path("cells")), EvaluateConfig, VerifyConfig, ExportConfig)
    for config in configs:
        with pytest.raises(ConfigError, match=f"--device cuda and --runtime {runtime} exclude each other"):
            config(**options)
        assert config(device="cpu", runtime=runtime).runtime == runtime
        assert config(device="cuda", runtime="onnxruntime").device == "cuda"
