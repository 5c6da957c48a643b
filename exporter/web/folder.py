"""`lab export --web`: a folder with the page of `lab serve`, which predicts in the browser with no server behind it."""

import io
import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import infer.reports
import infer.serve
from infer.core.console import Screen
from infer.core.errors import ConfigError
from infer.core.files import atomic_folder, require_new
from infer.images.enhance import Enhancement
from infer.images.preprocess import PixelSpec, read_window
from infer.model.card import ModelCard, read_card
from infer.model.input_kinds import UINT8
from infer.model.providers import ONNXRUNTIME_LIBRARY
from infer.model.seal import require_sealed
from infer.model.session import Session
from infer.reports.provenance import Origin, intended_use, model_card

OPTION = "--web"
RUNTIME_VERSION = "1.30.0"
"""Of onnxruntime-web, which the page was tested with."""
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Nothing but the folder's own files is loaded, and nothing is sent anywhere."""
CHARSET = '<meta charset="utf-8">'
PARTS = {
    "page.css": (infer.serve.__name__, "page.css"),
    "page.js": (infer.serve.__name__, "page.js"),
    "base.css": (infer.reports.__name__, "page.css"),  # the look of reports
    **{name: (__package__, name) for name in ("backend.js", "decode.js", "pixels.js")},
}
"""The page's files: for each the package and the file there."""
REDUCED = (
    "JPEG files much larger than the network's input are decoded whole here; lab predict decodes them at a reduced "
    "scale, so their probabilities differ a little."
)
PRIVATE = "Images stay in this browser: the page sends nothing to anyone."


def check_web(folder: Path, card: ModelCard) -> None:
    """Raises ConfigError where `write_web` would."""
    require_new(folder, OPTION)
    if enhancement := next((step for step in card.pixels.steps if isinstance(step, Enhancement)), None):
        raise ConfigError(f"{OPTION} is not possible for this model: its page cannot compute {enhancement}")
    if card.precision != "fp32":
        raise ConfigError(f"{OPTION} needs --precision fp32: {card.precision} was not compared in browsers")
    if card.input != UINT8:
        raise ConfigError(f"{OPTION} needs --input {UINT8}, got a file that takes {card.input}")


def write_web(model: Path, folder: Path, screen: Screen) -> Path:
    """Write the page of a sealed file into a new folder, which appears whole or not at all; returns the folder.

    Raises:
        ModelError: the file cannot be used, has no evidence, or was changed since its export.
        ConfigError: the folder exists, or the page cannot compute what the model needs.
        OutputError: the folder cannot be written.
    """
    require_sealed(model)
    card = read_card(model)
    check_web(folder, card)
    with atomic_folder(folder, OPTION) as draft:
        shutil.copyfile(model, draft / "model.onnx")
        require_sealed(draft / "model.onnx")
        for name, (package, source) in PARTS.items():
            (draft / name).write_bytes(files(package).joinpath(source).read_bytes())
        page = files(infer.serve.__name__).joinpath("page.html").read_text(encoding="utf-8")
        (draft / "index.html").write_text(with_policy(page), encoding="utf-8")
        (draft / "package.json").write_text(_json(package_content()), encoding="utf-8")
        (draft / "model.json").write_text(_json(description(draft / "model.onnx", model, draft)), encoding="utf-8")
    screen.say(f"page: {folder}\nnext: npm install --prefix {folder}, then python -m http.server --directory {folder}")
    return folder


def with_policy(page: str) -> str:
    """The page with its Content-Security-Policy, which no host needs to send."""
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    return page.replace(CHARSET, f'{CHARSET}\n{policy}\n<meta name="referrer" content="no-referrer">', 1)


def package_content() -> dict[str, Any]:
    """package.json: what `npm install` puts beside the page."""
    return {"private": True, "dependencies": {"onnxruntime-web": RUNTIME_VERSION}}


def description(file: Path, model: Path, folder: Path) -> dict[str, Any]:
    """model.json: what the page shows and needs. Writes the pictures with which the page checks its browser."""
    session = Session(file, "cpu", runtime=ONNXRUNTIME_LIBRARY)  # which the page runs; OpenVINO may round more
    card, point = session.card, session.card.operating_point
    limits = [PRIVATE, *intended_use(card)]
    return {
        "name": model.stem if model.stem != "model" else model.absolute().parent.name,
        "where": PRIVATE,
        "classes": [{"label": item.label, "name": item.name} for item in card.classes],
        "threshold": {"label": card.classes[1].label, "probability": point.threshold} if point else None,
        "heatmaps": session.has_cam,
        "limits": {"images": 1, "megabytes": 1000},
        "facts": [{"name": name, "value": value} for name, value in model_card(Origin(card=card, model=file))],
        "intended_use": [*limits, *([REDUCED] if card.pixels.reduced_decode else [])],
        "pixels": card.pixels.to_json(),
        "batch": session.batch or 1,
        "check": write_checks(folder, card.pixels, session),
    }


def write_checks(folder: Path, spec: PixelSpec, session: Session) -> list[float]:
    """Write check.png and check.jpg, with their windows as bytes; returns the probabilities [K] of the first."""
    windows = {}
    for name, picture in (("check.png", check_picture(spec)), ("check.jpg", check_picture(spec).convert("RGB"))):
        content = io.BytesIO()
        picture.save(content, "PNG" if name.endswith("png") else "JPEG")
        (folder / name).write_bytes(content.getvalue())
        windows[name] = read_window(str(folder / name), spec)
        (folder / f"{name}.rgb").write_bytes(windows[name].tobytes())
    batch = np.repeat(windows["check.png"][None], session.batch or 1, axis=0)
    probabilities: list[float] = session.run(batch)[1][0].tolist()
    return probabilities


def check_picture(spec: PixelSpec) -> Image.Image:
    """A picture with levels of all kinds and transparent parts, a little larger than the canvas."""
    height, width = (side * 5 // 4 + 3 for side in spec.canvas)
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (9, 7, 4), dtype=np.uint8), "RGBA")
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int64)
    noisy = np.clip(smooth + random.integers(-20, 21, smooth.shape), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy, "RGBA")


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
