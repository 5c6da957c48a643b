"""A model file that takes one decoded image of any size, opened on the CPU."""

from pathlib import Path

from infer.core.arrays import Floats, Pixels
from infer.core.errors import ModelError
from infer.model.card import read_card
from infer.model.input_kinds import IMAGE, INPUT_KINDS
from infer.model.providers import CPU, DIVIDED, Options, Provider
from infer.model.seal import OUTPUT_NAMES
from infer.model.session import Session


class ImageSession(Session):
    """A file that `lab export --embed-resize` wrote; its graph computes with sizes, which GPUs leave to the CPU."""

    takes_windows = False

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Open a file. Raises ModelError, as `Session`, and for a file that takes windows."""
        if read_card(path).input != IMAGE:
            raise ModelError(f"{path} takes batches of resized images, not whole ones; open it as a Session")
        super().__init__(path, threads=threads, provider=CPU)

    def _open(self, provider: Provider, options: Options) -> None:
        super()._open(provider, {**options, DIVIDED: "0"})  # the rows of an image are no batch

    def run_image(self, image: Pixels) -> tuple[Floats, Floats]:
        """Logits and probabilities, float32 [1, K] each, of a decoded uint8 image [height, width, 3].

        Raises:
            ModelError: the file cannot run such an image.
        """
        with self._translated_errors(image.shape):
            logits, probabilities = self._engine.run(OUTPUT_NAMES, {INPUT_KINDS[IMAGE].name: image})
        return logits, probabilities
