"""The kinds of a file's input: names of files, and the numbers that a graph is fed with."""

import numpy as np

from infer.model.input_kinds import INPUT_KINDS, file_name, model_files
from infer.model.precision import PRECISIONS


def test_each_precision_and_input_has_a_file_of_its_own_and_plain_files_come_first() -> None:
    kinds = [kind for kind in INPUT_KINDS.values() if kind.feed]
    assert len(set(model_files())) == len(kinds) * len(PRECISIONS)
    assert file_name("int8", "image") == "model.int8.image.onnx"
    assert "model.image.onnx" not in model_files()  # lab does not predict with it
    assert model_files()[: len(PRECISIONS)] == tuple(row.file_name for row in PRECISIONS.values())
    assert file_name("fp16", "float") == "model.fp16.float.onnx"


def test_planes_hold_the_bytes_as_numbers_by_channel() -> None:
    batch = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    feed = INPUT_KINDS["float"].feed
    assert feed is not None
    fed = feed(batch)
    assert (fed.dtype, fed.shape, fed.flags.c_contiguous) == (np.float32, (2, 3, 4, 5), True)
    assert fed[1, 2, 3, 4] == batch[1, 3, 4, 2]
