"""The array types that cross modules."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


Floats = NDArray[np.float32]
