"""Opens the models that predict, and prints a few lines about each."""

from collections.abc import Sequence
from pathlib import Path

import PIL

from infer.config import Device, PredictConfig, Runtime
from infer.core.console import Screen
from infer.core.cpu import int8_problem, is_limited, usable_cores
from infer.core.errors import ConfigError
from infer.core.text import listed
from infer.images.listing import is_image_file
from infer.images.tta import check_tta
from infer.model.providers import AUTO, CPU, ONNXRUNTIME_LIBRARY
from infer.model.runs import find_model, newest_model
from infer.model.session import Session

ACCEPT_CHANGED = "--accept-changed"


def open_model(
    path: Path | None,
    device: Device,
    runtime: Runtime,
    screen: Screen,
    say_device: bool = True,
    accept_changed: bool | None = None,
    threads: int | None = None,
) -> Session:
    """Open the model at `path`, or the newest one, and print its file and device.

    Args:
        path: an ONNX file or a run; None: the newest exported file.
        device: as `Session` takes it.
        runtime: as `Session` takes it.
        screen: where the lines appear.
        say_device: whether one of them is about the device.
        accept_changed: open a file that was changed since its export, too; None where the command has no such option.
        threads: as `Session` takes it.

    Raises:
        ModelError, DeviceError: as `Session`.
    """
    file = find_model(path) if path else newest_model()
    option = "" if accept_changed is None else ACCEPT_CHANGED
    session = Session(file, device, threads, runtime, accept_changed=bool(accept_changed), accept_option=option)
    why = f" ({session.reason})" if session.reason else ""
    card = session.card
    screen.say(f"model: {session.path}, {card.architecture} {card.precision}, trained on {card.trained_on}")
    if say_device:
        tuned = session.options != session.default_options(session.provider)
        granted = f"; {usable_cores()}" if session.provider.memory == CPU.memory and is_limited() else ""
        screen.say(f"device: {session.provider}{why}{', with options that --tune chose' if tuned else ''}{granted}")
    if session.seal.changes:
        screen.say(f"warning: {session.seal.note}; no gate has seen it so, and it is used as {ACCEPT_CHANGED} asks")
    if session.seal.evidence is None:
        screen.say(f"note: {session.path} has no evidence: no gate has compared it with its network")
    if card.may_overflow and (problem := int8_problem()):
        screen.say(
            f"note: {problem}, and {session.path} has 8-bit weights: ONNX Runtime takes slower kernels, which cannot "
            "overflow; export it again with this lab for weights that need none"
        )
    trained_with, here = str(card.provenance.get("versions", {}).get("pillow", "")), PIL.__version__
    if trained_with and trained_with.partition(".")[0] != here.partition(".")[0]:
        screen.say(
            f"note: trained with Pillow {trained_with}, installed is {here}: resized pixels may differ by a level; "
            "check with lab verify"
        )
    return session


def open_models(config: PredictConfig, screen: Screen) -> list[Session]:
    """Open all models, whose probabilities will be averaged.

    Raises:
        ConfigError: the models have different classes, or --tta does not suit a model's images.
        ModelError, DeviceError: as `open_model`.
    """
    local = config.engine == "local"
    device = config.device if local else "cpu"  # opened here only to read the files' cards
    # OpenVINO takes longer to start than ONNX Runtime takes to classify one image
    single = config.source.is_file() and is_image_file(str(config.source))
    runtime = config.runtime if local and not single else without_auto(config.runtime)
    sessions = [
        open_model(path, device, runtime, screen, say_device=local, accept_changed=config.accept_changed)
        for path in config.model or (None,)
    ]
    if len({session.path.resolve() for session in sessions}) < len(sessions):
        raise ConfigError("--model names one file twice; name each once")
    for session in sessions:
        check_tta(config.tta, session.card.pixels)
    require_same_classes(sessions)
    if config.tune:
        from infer.model.autotune import tune

        sessions = [session.with_options(tune(session, config.batch_size, screen)) for session in sessions]
    return sessions


def without_auto(runtime: Runtime) -> Runtime:
    """The runtime where `auto` is ONNX Runtime: for one image, and on a cluster, whose nodes may differ."""
    return ONNXRUNTIME_LIBRARY if runtime == AUTO else runtime


def run_by(sessions: Sequence[Session], config: PredictConfig) -> str:
    """What ran the models, each once, for people."""
    if config.engine == "ray":
        return f"Ray's workers ({without_auto(config.runtime)})"
    return "; ".join(dict.fromkeys(session.run_by for session in sessions))


def require_same_classes(sessions: Sequence[Session]) -> None:
    """Raises ConfigError unless the models have the same classes in the same order."""
    first, *others = sessions
    for other in others:
        if other.card.classes != first.card.classes:
            ours, theirs = (listed([str(item) for item in session.card.classes]) for session in (first, other))
            raise ConfigError(
                f"models can be averaged only where their classes agree: {first.path} has {ours}, {other.path} {theirs}"
            )
