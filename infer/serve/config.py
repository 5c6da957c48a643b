"""The config of `lab serve`. Light to import: the command line reads it at start-up."""

import math
from dataclasses import dataclass
from pathlib import Path

from infer.config import DEVICE_HELP, LARGEST_BATCH, MODEL, NEWEST, RUNTIME_HELP, TTA_HELP, Device, Engine, Runtime, Tta
from infer.core.errors import ConfigError
from infer.core.knob import argument, check, knob, require
from infer.model.providers import AUTO, check_runtime

LIMITS, ACCESS = "Limits", "Access"
"""Panels of the options in help, beside the first one."""
MOST_MEGAPIXELS = 80
"""What `lab predict` reads: `infer.images.decode.MAX_PIXELS`."""


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """What `lab serve` does."""

    models: tuple[Path, ...] = argument(
        "MODEL...",
        "ONNX files or runs; the probabilities of several are averaged.",
        default=(),
        default_text=NEWEST,
    )
    name: str = knob("", "Name of the model in /v2/models/NAME.", default_text="that of the first file")
    host: str = knob("127.0.0.1", "Address to listen at; 0.0.0.0 for all of this machine's.", panel=ACCESS)
    port: int = knob(8000, "Port; 0 for any that is free.", minimum=0, maximum=65_535)
    device: Device = knob("auto", DEVICE_HELP)
    runtime: Runtime = knob("auto", RUNTIME_HELP, panel=MODEL)
    tta: Tta = knob("none", TTA_HELP, panel=MODEL)
    engine: Engine = knob(
        "local",
        "Answer from this process (local) or from Ray Serve's replicas (ray): at $RAY_ADDRESS, or started here.",
        panel=MODEL,
    )
    max_batch: int = knob(32, "Images that are run at once, at most.", panel=MODEL, above=0, maximum=LARGEST_BATCH)
    max_delay: float = knob(
        5.0, "Milliseconds that an image waits for others to share its batch.", panel=MODEL, minimum=0, maximum=10_000
    )
    decoders: int | None = knob(
        None,
        "Processes that decode images; 0 for threads of the server.",
        panel=MODEL,
        minimum=0,
        maximum=1024,
        default_text="one per core",
    )
    max_queue: int = knob(
        256, "Images that may wait or run; further requests get 503.", panel=LIMITS, above=0, maximum=1_000_000
    )
    max_wait: str | None = knob(
        None,
        "Milliseconds that an answer may be expected to take, or auto: up to twice those on an idle server.",
        panel=LIMITS,
        metavar="<ms>",
        default_text="as --timeout",
    )
    max_images: int = knob(64, "Images in one request.", panel=LIMITS, above=0, maximum=100_000)
    max_megabytes: int = knob(64, "Megabytes of one request.", panel=LIMITS, above=0, maximum=2_000)
    max_megapixels: int = knob(
        MOST_MEGAPIXELS, "Megapixels of one image.", panel=LIMITS, above=0, maximum=MOST_MEGAPIXELS
    )
    max_memory: int = knob(512, "Megabytes of all requests that are being received or answered.", panel=LIMITS, above=0)
    max_connections: int = knob(2_000, "Open connections; further ones are closed.", panel=LIMITS, above=0)
    timeout: float = knob(
        30.0, "Seconds that a client may take to send a request, and an answer to be made.", panel=LIMITS, above=0
    )
    token_file: Path | None = knob(
        None,
        "File with a token, which clients send as Authorization: Bearer TOKEN.",
        panel=ACCESS,
        default_text="no token",
    )
    allow_origin: str | None = knob(
        None,
        "Origin, such as https://example.org, whose pages may call the service (CORS).",
        panel=ACCESS,
        default_text="none",
    )

    @property
    def longest_wait(self) -> float | None:
        """Seconds that an answer may be expected to take; None: what follows from those on an idle server."""
        if self.max_wait == AUTO:
            return None
        return self.timeout if self.max_wait is None else float(self.max_wait) / 1000

    def __post_init__(self) -> None:
        check(self, ServeConfig)
        check_runtime(self.device, self.runtime)
        _check_wait(self.max_wait)
        if "/" in self.name or not all(map(str.isprintable, self.name)):
            raise ConfigError(f"--name must be one part of a URL's path, without a slash, got {self.name}")
        if len({path.resolve() for path in self.models}) < len(self.models):
            raise ConfigError("MODEL names one file twice; name each once")
        if self.max_images > self.max_queue:
            raise ConfigError(
                f"--max-queue {self.max_queue} has no room for a request of --max-images {self.max_images}; raise it"
            )
        if self.max_megabytes > self.max_memory:
            raise ConfigError(
                f"--max-memory {self.max_memory} has no room for a request of --max-megabytes {self.max_megabytes}; "
                "raise it"
            )
        if self.allow_origin is not None and not self.allow_origin.startswith(("http://", "https://")):
            raise ConfigError(
                f"--allow-origin must begin with http:// or https://, got {self.allow_origin}; a page's origin is its "
                "scheme, host and port"
            )


def _check_wait(text: str | None) -> None:
    """Raises ConfigError unless it is a number of milliseconds, `auto`, or not given."""
    if text in (None, AUTO):
        return
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = 0.0
    require(0 < milliseconds < math.inf, "--max-wait", "a number of milliseconds above 0, or auto", text)
