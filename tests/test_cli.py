"""The commands as a shell runs them: exit codes, one-line errors, imports, help."""

import gc
import re
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import cli
import trainer.options
from exporter.config import ExportConfig
from infer.config import EvaluateConfig, PredictConfig
from infer.core.knob import choices_of, knobs, option
from infer.version import __version__
from trainer.config import TrainConfig
from trainer.recipe import load_recipe, recipe_names

ROOT = Path(__file__).parent.parent
COMMANDS = (
    *("train", "recipes", "find-rate", "data", "data check", "data split", "data preview", "serve"),
    *("export", "verify", "predict", "evaluate", "compare", "inspect", "doctor", "demo", "reproduce"),
)
CONFIGS = (("train", TrainConfig), ("export", ExportConfig), ("predict", PredictConfig), ("evaluate", EvaluateConfig))
HEAVY = {"pydantic", "torch", "torchvision", "onnxruntime", "onnx", "pandas", "sklearn", "matplotlib"}


def loaded_by(*arguments: str | Path, packages: Collection[str] = HEAVY) -> set[str]:
    """Which of some packages a fresh process has loaded after a command."""
    script = (
        "import sys, cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"print('LOADED', *sorted({set(packages)!r} & set(sys.modules)))\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(process.stdout.rpartition("LOADED")[2].split())


def test_a_command_has_python_look_for_cycles_seldom(lab: Callable) -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700)
        lab("recipes")
        assert gc.get_threshold()[0] == cli.NEW_OBJECTS
    finally:
        gc.set_threshold(*before)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_works_for_every_command(lab: Callable, command: str) -> None:
    ran = lab(*command.split(), "--help")
    assert ran.code == 0
    assert "Usage" in ran.out


def test_no_command_is_missing_from_these_tests(lab: Callable) -> None:
    shown = {entry.names for entry in help_entries(lab, "") if entry.panel == "Commands"}
    shown |= {f"data {entry.names}" for entry in help_entries(lab, "data") if entry.panel == "Commands"}
    assert shown == set(COMMANDS)


@dataclass(frozen=True)
class Entry:
    """An argument, an option or a command, as help shows it."""

    panel: str
    names: str
    lines: tuple[str, ...]
    """The help text and the default, as they are wrapped."""

    @property
    def text(self) -> str:
        """The help text without the default."""
        return re.sub(r" +\[(default: .*|required)\]$", "", " ".join(self.lines))


def help_entries(lab: Callable, command: str) -> list[Entry]:
    """All entries of a command's help: two spaces, the names, and the text beside or below them."""
    entries: list[Entry] = []
    panel = ""
    for line in lab(*command.split(), "--help").out.splitlines():
        if title := re.fullmatch(r"(\S.*):", line):
            panel = title[1]
        elif panel and (entry := re.fullmatch(r"  (\S+(?: \S+)*)(?:  +(.*))?", line)):
            entries.append(Entry(panel, entry[1], (entry[2],) if entry[2] else ()))
        elif panel and line:
            entries[-1] = replace(entries[-1], lines=(*entries[-1].lines, line.strip()))
    return entries


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_at_80_columns_no_entry_of_help_takes_more_than_three_lines(
    lab: Callable, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    entries = help_entries(lab, command)
    assert any(entry.names == "-h, --help" for entry in entries)
    assert [entry for entry in entries if len(entry.lines) > 3] == []


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_written_in_sentences_with_single_brackets(lab: Callable, command: str) -> None:
    ran = lab(*command.split(), "--help")
    assert "[[" not in ran.out
    assert "[default: (" not in ran.out
    for entry in help_entries(lab, command):
        assert entry.text.endswith("."), entry
        assert not entry.text.endswith("..."), f"a line of 80 columns cuts {entry}"
        assert not entry.text.startswith("Of "), entry
        assert all(sentence[0].isupper() for sentence in entry.text.split(". ")), entry


@pytest.mark.parametrize(("command", "config"), CONFIGS)
def test_help_names_every_choice_of_an_option(lab: Callable, command: str, config: type) -> None:
    texts = {long_name(entry): entry.text for entry in help_entries(lab, command)}
    choices = {option(name): choices_of(item.type) for name, item in knobs(config).items() if item.knob.option}
    assert len(choices["--device"]) == 3
    for name, values in choices.items():
        for value in values:
            assert re.search(rf"\b{value}\b", texts[name], re.IGNORECASE), (name, value)


def long_name(entry: Entry) -> str:
    """The first long name: of `-m, --model <path>` it is --model."""
    return next((word for word in entry.names.split() if word.startswith("--")), entry.names)


@pytest.mark.parametrize(
    ("command", "common"),
    [
        ("train", {"--recipe", "--resume", "--data", "--epochs", "--batch-size", "--learning-rate", "--device"}),
        ("predict", {"--out", "--model", "--device", "--batch-size", "--truth"}),
        ("export", {"--opset", "--precision", "--out"}),
    ],
)
def test_the_common_options_are_in_the_first_panel(lab: Callable, command: str, common: set[str]) -> None:
    entries = help_entries(lab, command)
    panels = list(dict.fromkeys(entry.panel for entry in entries))
    assert panels[:2] == ["Arguments", "Options"]
    assert len(panels) > 4
    first = {long_name(entry) for entry in entries if entry.panel == "Options"}
    assert common < first
    assert len(first) <= 13


def words_of_help(lab: Callable, command: str) -> str:
    """The help of a command without its line breaks."""
    return " ".join(lab(command, "--help").out.split())


def test_help_shows_defaults_that_depend_on_the_device_or_on_existing_files(lab: Callable) -> None:
    text = words_of_help(lab, "train")
    for default in ("25 on CUDA, 12 on a CPU", "0.05 with sgd, 0.001 with adamw", "built-in synthetic cells"):
        assert f"[default: {default}]" in text
    assert "[default: newest export in runs/]" in words_of_help(lab, "predict")


def test_help_shows_the_values_of_the_recipe_lab_as_defaults(lab: Callable) -> None:
    entries = {long_name(entry): " ".join(entry.lines) for entry in help_entries(lab, "train")}
    values = {name: value for name, value in load_recipe("lab").values.items() if name in knobs(TrainConfig)}
    assert "augment" in values
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        words = ", ".join({"True": "yes", "False": "no"}.get(str(item), str(item)) for item in items)
        assert entries[option(name)].endswith(f"[default: {words}]")


def test_the_version_is_that_of_the_package(lab: Callable) -> None:
    ran = lab("--version")
    assert (ran.code, ran.out) == (0, f"lab {__version__}\n")


def test_help_loads_nothing_heavy() -> None:
    assert loaded_by("--help", packages={*HEAVY, "numpy", "rich"}) == loaded_by("train", "--help") == set()


def test_predicting_loads_only_the_runtime(model: Path, cells: Path, tmp_path: Path) -> None:
    image = next((cells / "test").iterdir())
    arguments = ("predict", image, "--model", model, "--no-sample", "--out", tmp_path / "out.csv")
    assert loaded_by(*arguments) == {"onnxruntime"}


def test_verifying_with_the_file_alone_loads_no_torch(model: Path, cells: Path) -> None:
    assert loaded_by("verify", model, "--data", cells) <= {"onnxruntime", "sklearn", "pandas"}


def test_a_usage_error_exits_with_2(lab: Callable) -> None:
    assert lab("train", "resnet18", "--optimizer", "lion").code == 2
    assert lab("train", "resnet18", "--rotation", "20").code == 2
    ran = lab("train", "resnet18", "--momentum", "1.5")
    assert ran.code == 2
    assert ran.err == "error: --momentum must be at least 0 and below 1, got 1.5\n"


def test_training_without_an_architecture_is_one_line_with_an_example(lab: Callable) -> None:
    ran = lab("train")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: ARCH is missing; for example: lab train resnet18")
    assert ran.err.count("\n") == 1


def test_an_unknown_recipe_is_one_line_with_the_known_ones(lab: Callable) -> None:
    ran = lab("train", "resnet18", "--recipe", "leukaemia")
    assert ran.code == 2
    assert "leukemia-baseline" in ran.err
    assert ran.err.count("\n") == 1


def test_recipes_are_listed_with_what_their_reports_reached_or_printed_with_their_comments(lab: Callable) -> None:
    ran = lab("recipes")
    assert ran.code == 0
    words = " ".join(re.sub("[│┃]", " ", ran.out).split())
    assert all(name in words for name in recipe_names())
    assert "0.95407" in words
    ran = lab("recipes", "leukemia-clahe")
    assert ran.out == load_recipe("leukemia-clahe").text
    ran = lab("recipes", "leukaemia")
    assert ran.code == 2
    assert "leukemia-baseline" in ran.err


def test_an_unknown_architecture_is_named_with_the_known_ones(lab: Callable) -> None:
    ran = lab("train", "vgg16")
    assert ran.code == 2
    assert "resnet152" in ran.err
    assert "vgg16" in ran.err


def test_names_in_errors_are_shown_as_they_are_on_one_line(lab: Callable, tmp_path: Path) -> None:
    ran = lab("train", "resnet18", "--data", tmp_path / "[/x]\nfolder")
    assert ran.code == 1
    assert r"[/x]\nfolder does not exist" in ran.err
    assert ran.err.count("\n") == 1


def test_a_text_of_any_length_makes_no_error_that_hides_its_own_remedy(lab: Callable, tmp_path: Path) -> None:
    recipe = tmp_path / "long.toml"
    recipe.write_text(f'epochs = "{"y" * 100_000}"\n')
    for ran in (lab("recipes", recipe), lab("train", "z" * 100_000)):
        assert ran.code == 2
        assert ran.err.count("\n") == 1
        assert "more characters" in ran.err
        assert len(ran.err) < 15_000


@pytest.mark.parametrize("dash", ["-", "_"])
def test_options_may_be_written_with_underscores(lab: Callable, cells: Path, tmp_path: Path, dash: str) -> None:
    small = [f"--batch{dash}size", "8", f"--image{dash}size", "32", f"--weight{dash}decay", "0.001", "-e", "1"]
    ran = lab("train", "ResNet18", "--data", cells, "--out", tmp_path, f"--learning{dash}rate", "0.01", *small)
    assert ran.code == 0, ran.err
    recipe = (next(tmp_path.iterdir()) / "recipe.toml").read_text()
    assert "weight_decay = 0.001" in recipe
    assert "learning_rate = 0.01" in recipe


@pytest.mark.parametrize(
    ("command", "module"),
    [("train", "torch"), ("export", "onnx"), ("export", "torch"), ("verify", "onnx"), ("demo", "torch")],
)
def test_a_missing_extra_is_named_with_its_install_command(command: str, module: str) -> None:
    script = f"import sys; sys.modules[{module!r}] = None; import cli; cli.main(sys.argv[1:])"
    arguments = [command, *(["resnet18"] if command in ("train", "verify") else [])]
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert re.search(f"lab {command}( against a run)? needs", process.stderr)
    assert "pip install '.[train]'" in process.stderr
    assert process.stderr.count("\n") == 1


def test_an_interrupted_command_says_so_and_exits_with_130(lab: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.options, "build_config", interrupt)
    ran = lab("train", "resnet18")
    assert (ran.code, ran.err) == (130, "error: stopped\n")


def test_without_data_the_built_in_set_is_used_and_called_synthetic(
    lab: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trainer.data.synthetic

    monkeypatch.setattr(trainer.data.synthetic, "SPLITS", {"train": 24, "valid": 12, "test": 12})
    ran = lab("train", "resnet18", "-e", "1", "-b", "8", "--image-size", "32", "--out", tmp_path)
    assert ran.code == 0, ran.err
    assert "SYNTHETIC" in ran.out
    assert "validation split of synthetic-cells" in ran.out


def test_the_demo_runs_and_names_its_files(lab: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trainer.config
    import trainer.data.synthetic

    monkeypatch.setattr(trainer.data.synthetic, "SPLITS", {"train": 24, "valid": 12, "test": 12})
    monkeypatch.setitem(trainer.config.BY_DEVICE, "cpu", {"epochs": 1, "batch_size": 8, "image_size": 32})
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    ran = lab("demo", "--out", tmp_path / "demo")
    assert ran.code == 0, ran.err
    assert (tmp_path / "demo" / "submission.csv").is_file()
    assert (tmp_path / "demo" / "submission.report" / "confusion.png").is_file()
    assert len(list(tmp_path.glob("demo/runs/*/model.onnx"))) == 1
    assert "These are SYNTHETIC cells" in ran.out
    assert "next: lab inspect" in ran.out


def test_an_error_is_not_written_to_standard_output_where_standard_error_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    with pytest.raises(SystemExit):
        cli.main(["predict", "no such folder", "--model", "no such model"])
    assert capsys.readouterr().out == ""
