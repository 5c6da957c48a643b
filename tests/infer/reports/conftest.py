"""What tests of reports share: pictures as a user sees them."""

import pytest


@pytest.fixture(autouse=True)
def as_for_a_user(laid_out: None) -> None:
    """Every picture is laid out."""
