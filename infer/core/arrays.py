"""Array types that several modules share."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Images, of 0 to 255; a name such as `pixels_nhwc` gives the layout."""
Floats = NDArray[np.float32]
"""Logits, probabilities and other network outputs."""
