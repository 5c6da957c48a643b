"""What the tests of images share."""

import numpy as np
import pytest
from helpers.pixels import Array


@pytest.fixture
def scene() -> Array:
    """A random picture, uint8 [20, 30, 3]."""
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
