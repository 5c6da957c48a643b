"""The commands of lab: parse, build a config, import lazily, one call, print. No logic in here."""

import contextlib
import io
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from exporter.config import ExportConfig as Export
from infer.config import CompareConfig as Compare
from infer.config import EvaluateConfig as Evaluate
from infer.config import PredictConfig as Predict
from infer.config import VerifyConfig as Verify
from infer.core.errors import LabError, MissingExtraError
from infer.core.options import typed, with_options
from infer.core.output_paths import bad_list, report_folder
from infer.dataset.config import DataCheckConfig as DataCheck
from infer.dataset.config import DataSplitConfig as DataSplit
from infer.version import __version__
from trainer.config import ARCHITECTURE_NAMES
from trainer.options import RANGED, VIEWED, configured, resumed, with_train_options
from trainer.recipe import DEFAULT, load_recipe

if TYPE_CHECKING:
    from infer.core.console import Screen
    from infer.metrics.metrics import Metrics
    from infer.metrics.result import EvaluationResult

RecipeOption = Annotated[
    str, typer.Option(help="A name that lab recipes lists, or a TOML file. Defaults below are those of lab.")
]

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
data_app = typer.Typer(help="Look at data before believing it.", no_args_is_help=True)
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
    """Train ResNets on folders of images, export them to ONNX behind a parity gate, predict whole folders."""


@app.command()
@with_train_options
def train(
    arch: Annotated[
        str, typer.Argument(metavar="ARCH", help=f"{', '.join(ARCHITECTURE_NAMES)}; or ResNet50.", show_default=False)
    ] = "",
    recipe: RecipeOption = DEFAULT,
    resume: Annotated[Path | None, typer.Option(help="Go on with it.", metavar="RUN", show_default="none")] = None,
    **given: Any,
) -> None:
    """Train ARCH on a data set; the best epoch stays in a new folder in runs/."""
    config = resumed(resume, arch, recipe, given) if resume else configured(arch, recipe, given)
    with _train_extra("lab train"):
        from trainer.train import train as run
    screen = _screen()
    done = run(config, screen, resume)
    _show_report(screen, done.result, done.metrics, "none", done.run / "report")
    screen.say(f"best checkpoint, curves and history: {done.run}\nnext: lab export {done.run}")


@app.command()
def recipes(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Print this one, with the reason for each value.")] = "",
) -> None:
    """List the recipes of lab train, with what their reports reached, or print one."""
    from trainer.recipe import recipe_table

    screen = _screen()
    if name:
        screen.say(load_recipe(name).text.rstrip())
        return
    screen.show(recipe_table())
    screen.say("lab recipes NAME prints one, with the reason for each value; train ARCH --recipe NAME uses it")


@data_app.command()
@partial(with_options, config=DataCheck)
def check(data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the data set.")], **given: Any) -> None:
    """Decode every image; find bad ones, copies, what crosses splits, and what colours alone tell. 1 on leakage."""
    config = DataCheck(data=data, **given)
    from infer.dataset.check import check_data
    from infer.dataset.report import check_tables, json_text, require_no_leaks, summary_lines

    screen = _screen(config.json)
    found = check_data(config, screen)
    screen.show(*check_tables(found))
    screen.say("\n".join([*summary_lines(found), f"report: {config.folder}"]))
    if config.json:
        typer.echo(json_text(found), nl=False)
    require_no_leaks(found, config.folder)


@data_app.command()
@partial(with_options, config=DataSplit)
def split(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Folder of the data set, or a CSV with Path and label.")
    ],
    **given: Any,
) -> None:
    """Part a data set into train, valid and test, stratified, no patient in two of them, as CSV files."""
    config = DataSplit(source=source, **given)
    from infer.dataset.split import split_data

    screen = _screen()
    split_data(config, screen)
    screen.say(f"split: {config.out}\nnext: lab train resnet18 --data {config.out}")


@data_app.command()
@partial(with_train_options, names=VIEWED)
def preview(
    folder: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of the data set.")],
    recipe: RecipeOption = DEFAULT,
    images: Annotated[int, typer.Option(min=1, max=100, help="Of each class.")] = 4,
    draws: Annotated[int, typer.Option(min=0, max=20, help="Augmented views of each.")] = 4,
    out: Annotated[Path, typer.Option(help="Folder for the sheets.")] = Path("preview"),
    **given: Any,
) -> None:
    """Draw what the network sees: per class a sheet of images as they are, enhanced, and augmented."""
    config = configured("resnet18", recipe, {**given, "data": str(folder)})
    with _train_extra("lab data preview"):
        from trainer.preview import preview as draw_sheets
    screen = _screen()
    for path in draw_sheets(config, out, images, draws, screen):
        screen.say(f"sheet: {path}")


@app.command()
@partial(with_train_options, names=RANGED)
def find_rate(
    arch: Annotated[str, typer.Argument(metavar="ARCH")],
    recipe: RecipeOption = DEFAULT,
    out: Annotated[Path, typer.Option(help="PNG to write; a CSV goes beside it.")] = Path("learning-rate.png"),
    **given: Any,
) -> None:
    """Find a learning rate: train while it rises until the loss diverges, draw the loss, and suggest one."""
    config = configured(arch, recipe, given)
    with _train_extra("lab find-rate"):
        from trainer.find_rate import find_rate as run
    screen = _screen()
    found = run(config, out, screen)
    screen.say(f"suggested: --learning-rate {found.suggested:g}\nloss over learning rate: {out}")


@app.command()
@partial(with_options, config=Export)
def export(
    run: Annotated[
        Path | None,
        typer.Argument(help="A run; or weights, with --arch.", show_default="the newest in runs/", metavar="RUN"),
    ] = Export.run,
    **given: Any,
) -> None:
    """Export a run's best checkpoint to one ONNX file, proven equal to the network on validation images."""
    config = Export(run=run, **typed(Export, given))
    with _train_extra("lab export"):
        from exporter.export import export as export_run
    screen = _screen()
    model, _ = export_run(config, screen)
    screen.say(f"model: {model} (opset {config.opset}, {config.precision})\nnext: lab predict FOLDER --model {model}")


@app.command()
@partial(with_options, config=Verify)
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="ONNX file or run.", show_default="newest export in runs/"),
    ] = Verify.file,
    **given: Any,
) -> None:
    """Prove a finished file again, on this machine: against its run, or with --data alone by its accuracy."""
    config = Verify(file=file, **given)
    screen = _screen()
    if config.data and not config.run:
        from infer.verify import recheck

        recheck(config, screen)
        return
    with _train_extra("lab verify against a run"):
        from exporter.verify import verify as verify_file
    verify_file(config, screen)
    screen.say("the file answers as the network did")


@app.command()
@partial(with_options, config=Predict)
def predict(
    source: Annotated[
        Path,
        typer.Argument(metavar="INPUT", help="Folder, zip, tar, CSV with image names, pattern, image; -: a list."),
    ],
    no_sample: Annotated[bool, typer.Option("--no-sample", help="Follow no sample, even if one lies there.")] = False,
    **given: Any,
) -> None:
    """Predict images and write a Kaggle CSV; where the truth is known, a report beside it."""
    config = Predict(source=source, use_sample=not no_sample, **typed(Predict, given))
    _predict(config, _screen(config.json))


@app.command()
@partial(with_options, config=Evaluate)
def evaluate(
    data: Annotated[
        Path | None, typer.Argument(help="Data set.", show_default="the run's validation images", metavar="DATA")
    ] = Evaluate.data,
    **given: Any,
) -> None:
    """Run the exported model on a labelled split and report."""
    config = Evaluate(data=data, **given)
    from infer.evaluate import evaluate as evaluate_split
    from infer.reports.report import report_json

    screen = _screen(config.json)
    result, metrics, folder = evaluate_split(config, screen)
    _show_report(screen, result, metrics, config.normalize, folder)
    if config.json:
        _print_json({"report": str(folder), **report_json(result, metrics)})


@app.command()
@partial(with_options, config=Compare)
def compare(
    paths: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs and reports, by their folders.")],
    **given: Any,
) -> None:
    """Runs and reports side by side: curves, metrics, whether one is better, and where they disagree."""
    config = Compare(paths=tuple(paths), **given)
    from infer.reports.compare import compare as compare_all

    screen = _screen(config.json)
    comparison = compare_all(config, screen)
    screen.show(*comparison.tables())
    if config.json:
        _print_json(comparison.to_json())


@app.command()
def inspect(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="ONNX file, checkpoint or run.")],
) -> None:
    """Print what a model file or checkpoint says of itself."""
    from infer.inspect import describe

    _screen().show(*map(describe, files))


@app.command()
def doctor() -> None:
    """Explain this machine: what lab can do on it, what is missing, and what to install."""
    from infer.doctor import examine, findings_table

    screen = _screen()
    findings = examine()
    screen.show(findings_table(findings))
    for remedy in findings.remedies:
        screen.say(remedy)


@app.command()
def demo(out: Annotated[Path, typer.Option(help="Folder for everything it makes.")] = Path("lab-demo")) -> None:
    """Run the whole path on the built-in synthetic cells: train, export, predict, report."""
    with _train_extra("lab demo"):
        from exporter.export import export as export_run
        from trainer.data.synthetic import builtin_data
        from trainer.train import train as train_network
    screen = _screen()
    runs, csv = out / "runs", out / "submission.csv"
    screen.say(f"1. lab train resnet18 --out {runs}")
    run = train_network(configured("resnet18", DEFAULT, {"out": str(runs)}), screen).run
    screen.say(f"\n2. lab export {run} --opset 17")
    model, _ = export_run(Export(run=run, opset=17), screen)
    cells = builtin_data(screen)
    truth = cells / "test_labels.csv"
    screen.say(f"\n3. lab predict {cells / 'test'} --model {model} --truth {truth} --out {csv}")
    _predict(Predict(source=cells / "test", out=csv, model=(model,), truth=truth), screen)
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
    """Run a command; a LabError is one line on standard error and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an arrow that the terminal cannot show is no reason to stop
    with contextlib.suppress(ValueError):  # only the main thread may; then drafts are tidied up as after Ctrl-C
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        app(arguments)
    except LabError as error:
        _fail(str(error), error.exit_code)
    except MemoryError:
        _fail("the memory of this machine is exhausted; give a smaller --batch-size or --image-size", 1)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename or 'the standard output'}", 1)
    except SystemExit as end:
        if end.code == 130:  # typer's answer to Ctrl-C, which says nothing
            _fail("stopped", 130)
        raise


def _fail(message: str, code: int) -> NoReturn:
    from infer.core.text import shown

    print(f"error: {shown(message)}", file=sys.stderr)  # noqa: T201
    sys.exit(code)


@contextlib.contextmanager
def _train_extra(command: str) -> Iterator[None]:
    """Turn the absence of a package of the `train` extra into one line."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("torch", "torchvision", "onnx", "onnxscript", "safetensors"):
            raise
        raise MissingExtraError(
            f"{command} needs {error.name}, which is not installed; run pip install '.[train]' in lab's folder"
        ) from error


def _screen(on_errors: bool = False) -> "Screen":
    from infer.core.console import open_screen

    return open_screen(on_errors)


def _print_json(told: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(told, allow_nan=False))


def _predict(config: Predict, screen: "Screen") -> None:
    from infer.core.remote import display_path
    from infer.predict import predict as predict_images

    done = predict_images(config, screen)
    if done.result and done.metrics:
        _show_report(screen, done.result, done.metrics, config.normalize, report_folder(config.out))
    if done.bad:
        listed = display_path(bad_list(config.out))
        screen.say(f"{len(done.bad)} images cannot be read ({config.bad_images}): listed in {listed}")
    screen.say(f"{done.written} rows: {display_path(config.out)}")
    if config.json:
        _print_json(done.to_json(config.out))


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
