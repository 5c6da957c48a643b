"""The gate's result for people: a row for each provider and batch size, and the limits that were allowed."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table as RichTable

from exporter.parity import Check, Parity
from exporter.precisions import BF16, BF16_RULE
from infer.model.providers import short_name


def parity_table(parity: Parity) -> RichTable:
    """The result for a terminal of 80 columns; accuracies in percent, their difference as an interval."""
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0))
    table.add_column("on", max_width=len("OpenVINO"))
    for name in ("batch", "images", "max diff", "99.9%", "flips", "network", "file", "difference", ""):
        table.add_column(name, justify="right", no_wrap=name not in ("max diff", "difference"))
    for c in parity.checks:
        interval = c.accuracy_difference
        table.add_row(
            short_name(c.provider),
            str(c.batch),
            str(c.images),
            *("-" if value is None else f"{value:.1e}" for value in (c.logit_difference, c.logit_p999)),
            str(c.labels_differ),
            *("-" if value is None else f"{value:.2%}" for value in (c.network_accuracy, c.accuracy)),
            f"{100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}" if interval else "-",
            "FAILS" if c.failures else "ok",
        )
    return table


def rule_lines(parity: Parity) -> str:
    """The gate's limits for people, a line for each kind of arithmetic that was held to others."""
    bf16 = [check for check in parity.checks if check.runtime_precision == BF16]
    others = [check for check in parity.checks if check.runtime_precision != BF16]
    lines = [_rule_line(parity.precision, parity.rule, others)]
    return "\n".join([*lines, *([_rule_line(BF16, BF16_RULE.to_json(), bf16)] if bf16 else [])])


def _rule_line(name: str, rule: Mapping[str, float], checks: Sequence[Check]) -> str:
    tolerances = {check.tolerance for check in checks if check.tolerance is not None}
    parts = [f"logits within {max(tolerances):.1e}"] if tolerances else []
    texts = {"noise": "logits off by {:.0%} on average", "scale": "their scale by {:.0%}"}
    texts |= {"labels": "{:.0%} of labels", "accuracy": "{:.1%} of accuracy or one image"}
    parts += [text.format(rule[key]) for key, text in texts.items() if key in rule]
    return f"allowed for {name}: {', '.join(parts)}"
