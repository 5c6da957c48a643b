"""A plain FastAPI app around an exported file, as people write it; bench/serve.py starts it: MODEL PORT."""

import base64
import io
import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel

app = FastAPI()
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
SIDE = session.get_inputs()[0].shape[1]


class Item(BaseModel):
    """A request."""

    image: str


def pixels_of(text: str) -> Any:
    """The centre of an image whose shorter side is 8/7 of the network's, as the file's card says."""
    image = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")
    scale = -(-SIDE * 8 // 7) / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
    return np.asarray(image.crop((left, top, left + SIDE, top + SIDE)))


@app.post("/predict")  # type: ignore[untyped-decorator, unused-ignore]
def predict(item: Item) -> dict[str, list[float]]:
    """The probabilities of one image."""
    (probabilities,) = session.run(["probabilities"], {"images": pixels_of(item.image)[None]})
    return {"probabilities": probabilities[0].tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
