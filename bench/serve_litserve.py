"""LitServe around an exported file, with its batching; bench/serve.py starts it: MODEL PORT MAX_BATCH."""

import base64
import io
import sys
from typing import Any, cast

import litserve
import numpy as np
import onnxruntime
from fastapi import Request
from PIL import Image


class Classifier(litserve.LitAPI):  # type: ignore[misc, unused-ignore]
    """Images in, probabilities out."""

    def setup(self, device: str) -> None:
        """Open the file."""
        self.session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        self.side = self.session.get_inputs()[0].shape[1]

    def decode_request(self, request: Request) -> Any:
        """The centre of an image whose shorter side is 8/7 of the network's, as the file's card says."""
        image = Image.open(io.BytesIO(base64.b64decode(cast(Any, request)["image"]))).convert("RGB")
        side, scale = self.side, -(-self.side * 8 // 7) / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return np.asarray(image.crop((left, top, left + side, top + side)))

    def batch(self, inputs: list[Any]) -> Any:
        """One array."""
        return np.stack(inputs)

    def predict(self, x: Any) -> Any:
        """Probabilities of a batch."""
        return self.session.run(["probabilities"], {"images": x})[0]

    def unbatch(self, output: Any) -> list[Any]:
        """One row for each."""
        return list(output)

    def encode_response(self, output: Any) -> dict[str, list[float]]:
        """As JSON."""
        return {"probabilities": output.tolist()}


if __name__ == "__main__":
    api = Classifier(max_batch_size=int(sys.argv[3]), batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", timeout=60)
    server.run(port=int(sys.argv[2]), generate_client_file=False, log_level="error")
