"""The gate's result as people see it."""

import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from exporter.parity import Check, Parity, judge
from exporter.parity_table import parity_table, rule_lines
from exporter.precisions import BF16_RULE, EXPORTS
from infer.metrics.point_values import softmax

COUNT = 40
RULE = EXPORTS["fp32"].rule


def check(flipped: bool = False) -> Check:
    """A check at fp32 in which the file equals the network, or gives one image another label."""
    logits = np.random.default_rng(0).normal(0, 3, (COUNT, 3)).astype(np.float32)
    got = logits.copy()
    if flipped:
        got[5] = got[5][[1, 2, 0]]
    empty = Check("CPUExecutionProvider", 16, COUNT, ())
    return judge(empty, RULE, 2.0, logits, got, softmax(got / 2), np.arange(COUNT) % 3, 10)


def parity(*checks: Check) -> Parity:
    return Parity("fp32", 17, COUNT, 0, "0" * 64, checks, RULE.to_json())


def test_the_table_fits_80_columns_and_shows_which_row_fails(heard: tuple) -> None:
    screen, text = heard
    screen.console.width = 80
    slow = replace(check(), provider="OpenVINO bf16", runtime_precision="bf16")
    screen.show(parity_table(parity(check(), check(flipped=True), slow)))
    screen.say(rule_lines(parity(check(), check(flipped=True))))
    lines = text.getvalue().splitlines()
    assert [line.split()[-1] for line in lines if line.strip().startswith("CPU")] == ["ok", "FAILS"]
    assert [line.split()[-1] for line in lines if "OpenVINO" in line] == ["ok"]
    assert "…" not in text.getvalue()
    terminal = io.StringIO()
    Console(file=terminal, width=80, force_terminal=True, color_system=None).print(parity_table(parity(slow)))
    assert "…" not in terminal.getvalue()
    assert max(map(len, terminal.getvalue().splitlines())) <= 80
    assert lines[-1] == "allowed for fp32: logits within 1.0e-03"


def test_checks_in_bfloat16_have_a_line_of_their_own_limits() -> None:
    tolerance = BF16_RULE.logit_tolerance(10)
    coarse = replace(check(), provider="OpenVINO bf16", runtime_precision="bf16", tolerance=tolerance)
    plain, bf16 = rule_lines(parity(check(), coarse)).splitlines()
    assert plain == "allowed for fp32: logits within 1.0e-03"
    assert bf16 == "allowed for bf16: logits within 3.2e-01, 1% of labels, 0.5% of accuracy or one image"
