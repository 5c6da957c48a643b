"""A provider's newest opset is that of the table, unless the provider itself opens a graph of a newer one."""

from dataclasses import replace

import pytest

from infer.model.opset_limit import file_problem, opens_opset, opset_problem
from infer.model.providers import CPU, CUDA


def test_a_provider_that_works_here_opens_the_probe_at_every_opset_that_it_has_kernels_for() -> None:
    assert all(opens_opset(CPU, opset) for opset in range(17, 27))
    assert not opens_opset(CPU, 999)


def test_the_table_decides_without_the_device_and_the_provider_with_it() -> None:
    limited = replace(CPU, newest_opset=18)
    assert opset_problem(limited, 18) is None
    assert opset_problem(limited, 19) is None  # beyond the table, but it opens
    assert "its newest is 18; export with --opset 18 or lower" in str(opset_problem(limited, 999))
    absent = replace(limited, find_problem=lambda: "no such device")
    assert "no kernel for some operators of opset 19" in str(opset_problem(absent, 19))


def test_a_missing_device_is_the_reason_before_the_opset_and_an_unknown_opset_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = replace(CUDA, find_problem=lambda: "no NVIDIA driver is installed")
    assert file_problem(absent, "fp32", 22) == "no NVIDIA driver is installed"
    assert "int8 is for CPUs" in str(file_problem(absent, "int8", 22))
    present = replace(CUDA, find_problem=lambda: None)
    monkeypatch.setattr("infer.model.opset_limit.opens_opset", lambda *_: False)
    assert "of opset 22" in str(file_problem(present, "fp32", 22))
    assert file_problem(present, "fp32", 21) is None
    assert file_problem(present, "fp32", None) is None
