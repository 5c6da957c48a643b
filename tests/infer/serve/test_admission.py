"""What the server holds is bounded, and given back whatever happens."""

import pytest

from infer.serve.admission import Admission
from infer.serve.errors import RequestError


def test_images_beyond_the_limit_are_refused_at_once_and_those_before_stay() -> None:
    admission = Admission(10, 100)
    with admission.hold_images(6):
        with pytest.raises(RequestError) as refused, admission.hold_images(5):
            pass
        assert (refused.value.status, admission.images) == (503, 6)
        with admission.hold_images(4):
            assert admission.images == 10
    assert admission.images == 0


def test_the_bytes_of_a_request_are_given_back_when_it_fails() -> None:
    admission = Admission(10, 100)
    with admission.hold_bytes() as first:
        first.add(60)
        with pytest.raises(RequestError) as refused, admission.hold_bytes() as second:
            list(map(second.add, (30, 20)))
        assert (refused.value.headers, admission.nbytes) == ({"Retry-After": "1"}, 60)
    assert admission.nbytes == 0
