"""A server's options are checked before anything is opened."""

from pathlib import Path

import pytest

from infer.core.errors import ConfigError
from infer.images.decode import MAX_PIXELS
from infer.serve.config import MOST_MEGAPIXELS, ServeConfig


def test_it_listens_to_this_machine_alone_unless_told() -> None:
    config = ServeConfig()
    assert (config.host, config.token_file, config.allow_origin) == ("127.0.0.1", None, None)


def test_an_image_may_have_as_many_pixels_as_for_predict() -> None:
    assert MOST_MEGAPIXELS * 10**6 == MAX_PIXELS
    assert ServeConfig().max_megapixels == MOST_MEGAPIXELS


def test_an_answer_may_be_expected_to_take_as_long_as_it_may_take_unless_less_is_wanted() -> None:
    assert ServeConfig(timeout=7).longest_wait == 7
    assert ServeConfig(timeout=7, max_wait="250").longest_wait == 0.25
    assert ServeConfig(timeout=7, max_wait="auto").longest_wait is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"models": (Path("a.onnx"), Path("./a.onnx"))}, "names one file twice"),
        ({"max_images": 300}, "--max-queue 256 has no room for a request of --max-images 300"),
        ({"max_megabytes": 600}, "--max-memory 512 has no room"),
        ({"allow_origin": "*"}, "must begin with http:// or https://"),
        ({"port": 70_000}, "--port must be from 0 to 65535"),
        ({"max_delay": -1.0}, "--max-delay must be from 0"),
        ({"max_wait": "soon"}, "--max-wait must be a number of milliseconds above 0, or auto, got soon"),
        ({"max_wait": "0"}, "above 0, or auto, got 0"),
        ({"max_wait": "nan"}, "above 0, or auto, got nan"),
        ({"name": "a/b"}, "--name must be one part of a URL's path, without a slash, got a/b"),
        ({"max_wait": "1e999"}, "above 0, or auto, got 1e999"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_with_its_remedy(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServeConfig(**values)
