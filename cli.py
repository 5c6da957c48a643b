"""The commands of lab: each gets its config, imports what is heavy, makes one call and prints. No logic in here."""

import contextlib
import gc
import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from exporter.config import ExportConfig
from infer.config import EvaluateConfig, PredictConfig, VerifyConfig
from infer.core.app import App
from infer.core.errors import LabError, MissingExtraError
from infer.core.options import options_of
from infer.core.output_paths import bad_list, report_folder
from infer.core.system_errors import system_error
from infer.dataset.config import DataCheckConfig, DataSplitConfig
from infer.reports.config import CompareConfig
from infer.reproduce_config import ReproduceConfig
from infer.serve.config import ServeConfig
from infer.version import __version__
from trainer.config import TrainConfig
from trainer.options import (
    PREVIEWED,
    RANGE_TESTED,
    PreviewOptions,
    RangeTestOptions,
    TrainOptions,
    build_config,
    train_options,
)
from trainer.recipe import DEFAULT, load_recipe

if TYPE_CHECKING:
    from infer.core.console import Screen
    from infer.metrics.metrics import Metrics
    from infer.metrics.result import EvaluationResult

NEW_OBJECTS = 50_000
"""Objects after which Python looks for cycles that nothing refers to. Imports and tables make as many that stay: with
Python's 700 it looks at them again and again, a twentieth of the time of a short command."""

app = App(name="lab")
data_app = App(help="Check, split and preview data sets.")
app.add_typer(data_app, name="data")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lab {__version__}")
        raise typer.Exit


@app.callback()
def lab(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Train ResNets on folders of images, export them to ONNX behind a parity gate, and predict whole folders."""


@app.command()
@train_options(TrainOptions)
def train(config: TrainConfig, options: TrainOptions) -> None:
    """Train ARCH on a data set and keep the best epoch in runs/."""
    with _train_extra("lab train"):
        from trainer.train import train as train_network
    screen = _screen()
    training = train_network(config, screen, options.resume)
    _show_report(screen, training.result, training.metrics, "none", training.run / "report")
    screen.say(f"best checkpoint, curves and history: {training.run}\nnext: lab export {training.run}")


@app.command()
def recipes(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Recipe to print, with the reasons for its values.")] = "",
) -> None:
    """List the recipes of lab train, or print one. The list shows what their reports reached."""
    from trainer.recipe import recipe_table

    screen = _screen()
    if name:
        screen.say(load_recipe(name).text.rstrip())
        return
    screen.show(recipe_table())
    screen.say("lab recipes NAME prints one with the reasons for its values; lab train ARCH --recipe NAME uses it")


@data_app.command()
@options_of(DataCheckConfig)
def check(config: DataCheckConfig) -> None:
    """Check a data set for bad files, duplicates and leakage.

    Every image is decoded. The report also says what colours alone tell of the class. Leakage between splits ends the
    command with exit code 1.
    """
    from infer.dataset.check import check_data
    from infer.dataset.report import check_tables, json_text, require_no_leaks, summary_lines

    screen = _screen(config.json)
    findings = check_data(config, screen)
    screen.show(*check_tables(findings))
    screen.say("\n".join([*summary_lines(findings), f"report: {config.folder}"]))
    if config.json:
        typer.echo(json_text(findings), nl=False)
    require_no_leaks(findings, config.folder)


@data_app.command()
@options_of(DataSplitConfig)
def split(config: DataSplitConfig) -> None:
    """Split a data set into train, valid and test CSVs. Classes are stratified, and no patient is in two splits."""
    from infer.dataset.split import split_data

    screen = _screen()
    split_data(config, screen)
    screen.say(f"split: {config.out}\nnext: lab train resnet18 --data {config.out}")


@data_app.command()
@train_options(PreviewOptions, PREVIEWED)
def preview(config: TrainConfig, options: PreviewOptions) -> None:
    """Draw what the network sees, one sheet per class. A row shows an image as it is, enhanced, and augmented."""
    with _train_extra("lab data preview"):
        from trainer.preview import preview as draw_sheets
    screen = _screen()
    for path in draw_sheets(config, options.out, options.per_class, options.draws, screen):
        screen.say(f"sheet: {path}")


@app.command()
@train_options(RangeTestOptions, RANGE_TESTED)
def find_rate(config: TrainConfig, options: RangeTestOptions) -> None:
    """Suggest a learning rate from a range test. The rate rises until the loss diverges; a plot shows the loss."""
    with _train_extra("lab find-rate"):
        from trainer.find_rate import find_rate as test_range
    screen = _screen()
    result = test_range(config, options.out, screen)
    screen.say(f"suggested: --learning-rate {result.suggested:g}\nloss over learning rate: {options.out}")


@app.command()
@options_of(ExportConfig)
def export(config: ExportConfig) -> None:
    """Export a run to an ONNX file that is proven equal to it.

    The file of the best checkpoint must give the outputs of the network on the validation images.
    """
    from exporter.deploy import deploy

    screen, model = _screen(), config.finished_file
    if model is None:
        with _train_extra("lab export"):
            from exporter.export import export as export_run
        model, _ = export_run(config, screen)
        following = f"inspect {model}" if config.embed_resize else f"predict FOLDER --model {model}"
        screen.say(f"model: {model} (opset {config.opset}, {config.precision})\nnext: lab {following}")
    deploy(config, model, screen)


@app.command()
@options_of(VerifyConfig)
def verify(config: VerifyConfig) -> None:
    """Verify an exported file on this machine. It is compared with its run, or with --data alone by its accuracy."""
    screen = _screen()
    if config.data and not config.run:
        from infer.verify import verify_accuracy

        verify_accuracy(config, screen)
        return
    with _train_extra("lab verify against a run"):
        from exporter.verify import verify as verify_file
    verify_file(config, screen)
    screen.say("verified: the outputs of the file agree with the network's")


@app.command()
@options_of(PredictConfig)
def predict(config: PredictConfig) -> None:
    """Predict images and write a Kaggle CSV. If the truth is known, a report is written too."""
    _predict(config, _screen(config.json))


@app.command()
@options_of(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> None:
    """Evaluate a model on a labelled split and write a report."""
    from infer.evaluate import evaluate as evaluate_split
    from infer.reports.report import report_json

    screen = _screen(config.json)
    result, metrics, folder = evaluate_split(config, screen)
    _show_report(screen, result, metrics, config.normalize, folder)
    if config.json:
        _print_json({"report": str(folder), **report_json(result, metrics)})


@app.command()
@options_of(ReproduceConfig)
def reproduce(config: ReproduceConfig) -> None:
    """Train a run again, or predict a CSV again, and compare.

    Weights, or rows, are equal bit for bit, or the first difference is named and the exit code is 3.
    """
    screen = _screen()
    if config.is_run:
        with _train_extra("lab reproduce of a run"):
            from trainer.reproduce import reproduce_run
        reproduce_run(config, screen)
        return
    from infer.reproduce import reproduce_prediction

    reproduce_prediction(config, screen)


@app.command()
@options_of(CompareConfig)
def compare(config: CompareConfig) -> None:
    """Compare runs and reports. Their curves and metrics show which is better, and where they disagree."""
    from infer.reports.compare import compare as compare_all

    screen = _screen(config.json)
    comparison = compare_all(config, screen)
    screen.show(*comparison.tables())
    if config.json:
        _print_json(comparison.to_json())


@app.command()
@options_of(ServeConfig)
def serve(config: ServeConfig) -> None:
    """Serve models over HTTP, with a page to drop images on."""
    from infer.serve.server import serve as serve_models

    serve_models(config, _screen())


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="ONNX files, checkpoints or runs.")],
) -> None:
    """Print the metadata of a model file or checkpoint."""
    from infer.inspect import describe

    _screen().show(*map(describe, files))


@app.command()
def doctor() -> None:
    """Diagnose this machine: what works, and what to install."""
    from infer.doctor import examine, findings_table

    screen = _screen()
    findings = examine()
    screen.show(findings_table(findings))
    for remedy in findings.remedies:
        screen.say(remedy)


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("lab-demo")) -> None:
    """Train, export and predict on built-in synthetic cells."""
    with _train_extra("lab demo"):
        from exporter.export import export as export_run
        from trainer.data.synthetic import builtin_data
        from trainer.train import train as train_network
    screen = _screen()
    runs, csv = out / "runs", out / "submission.csv"
    screen.say(f"1. lab train resnet18 --out {runs}")
    run = train_network(build_config("resnet18", DEFAULT, {"out": str(runs)}), screen).run
    screen.say(f"\n2. lab export {run} --opset 17")
    model, _ = export_run(ExportConfig(run=run, opset=17), screen)
    cells = builtin_data(screen)
    truth = cells / "test_labels.csv"
    screen.say(f"\n3. lab predict {cells / 'test'} --model {model} --truth {truth} --out {csv}")
    _predict(PredictConfig(source=cells / "test", out=csv, model=(model,), truth=truth), screen)
    screen.say(
        f"\nThese are SYNTHETIC cells: {cells}\n"
        f"the run, its curves and validation report: {run}\n"
        f"the model and the proof that it equals the network: {model}\n"
        f"the submission and its report: {csv}, {report_folder(csv)}\n"
        f"\nnext: lab inspect {model}\n"
        "      lab train resnet18 --data YOUR_FOLDER      (a folder per class, or train.csv with Path,label)\n"
        "      lab export --opset 17\n"
        "      lab predict YOUR_TEST_FOLDER --out submission.csv"
    )


def main(arguments: list[str] | None = None) -> None:
    """Run a command; print a LabError as one line on standard error and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a character that the terminal cannot show must not stop the work
    with contextlib.suppress(ValueError):  # only the main thread can set it; temporary files are removed as on Ctrl-C
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    gc.set_threshold(NEW_OBJECTS)
    try:
        app(arguments, prog_name="lab")
    except LabError as error:
        _fail(str(error), error.exit_code)
    except MemoryError:
        _fail("the memory of this machine is exhausted; give a smaller --batch-size or --image-size", 1)
    except OSError as error:
        _fail(system_error(error), 1)
    except SystemExit as end:
        if end.code == 130:  # Typer exits on Ctrl-C with this code and prints nothing
            _fail("stopped", 130)
        raise


def _fail(message: str, code: int) -> NoReturn:
    from infer.core.text import shortened, shown

    if sys.stderr is not None:  # print() would write to standard output instead
        print(f"error: {shortened(shown(message))}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


@contextlib.contextmanager
def _train_extra(command: str) -> Iterator[None]:
    """Report a missing package of the `train` extra in one line, with the command that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "torchvision", "onnx", "onnxscript", "safetensors"):
            raise
        raise MissingExtraError(
            f"{command} needs {error.name}, which is not installed; run pip install '.[train]' in lab's folder"
        ) from error


def _screen(to_stderr: bool = False) -> "Screen":
    from infer.core.console import open_screen

    return open_screen(to_stderr)


def _print_json(content: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(content, allow_nan=False))


def _predict(config: PredictConfig, screen: "Screen") -> None:
    from infer.core.remote import display_path
    from infer.core.text import counted
    from infer.predict import predict as predict_images

    prediction = predict_images(config, screen)
    if prediction.result and prediction.metrics:
        _show_report(screen, prediction.result, prediction.metrics, config.normalize, report_folder(config.out))
    if prediction.bad:
        listed = display_path(bad_list(config.out))
        screen.say(f"{counted(len(prediction.bad), 'image')} cannot be read ({config.bad_images}): listed in {listed}")
    screen.say(f"{prediction.written} rows: {display_path(config.out)}")
    if config.json:
        _print_json(prediction.to_json(config.out))


def _show_report(
    screen: "Screen", result: "EvaluationResult", metrics: "Metrics", normalize: str, folder: Path
) -> None:
    from infer.core.remote import display_path
    from infer.reports.report import report_tables

    screen.say(f"\n{result.title}")
    screen.show(*report_tables(result, metrics, normalize, screen.console.width))
    for note in metrics.notes:
        screen.say(f"note: {note}")
    screen.say(f"report: {display_path(folder)}")


if __name__ == "__main__":
    main()
