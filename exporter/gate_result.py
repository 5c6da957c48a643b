"""Shows the gate's result, and refuses a file that has not passed."""

from collections.abc import Collection
from pathlib import Path

from exporter.parity import Parity
from exporter.parity_table import parity_table, rule_lines
from exporter.precisions import EXPORTS
from exporter.reference import Reference
from infer.core.console import Screen
from infer.core.errors import ParityError
from infer.core.text import listed
from infer.model.card import read_card

MAX_SHOWN = 5
"""The number of differing labels that are printed; the evidence lists more."""


def show_parity(
    parity: Parity,
    file: Path,
    reference: Reference,
    screen: Screen,
    consequence: str,
    may_fail: Collection[str] = (),
) -> Parity:
    """Show the gate's result; returns it without the providers of `may_fail` that failed. Raises ParityError."""
    screen.say(
        f"parity with the network on {parity.images} images (flips: labels that differ; network, file: accuracy; "
        "difference: of accuracy, 95% interval)"
    )
    screen.show(parity_table(parity))
    screen.say(rule_lines(parity))
    if parity.pixels:
        screen.say(f"pixels: {parity.pixels}")
    for check in parity.checks:
        if check.failures and check.provider in may_fail:
            screen.say(f"{check.provider} is left out of the evidence, batch {check.batch}: {listed(check.failures)}")
    parity = parity.without(may_fail)
    classes, full = read_card(file).classes, max(parity.checks, key=lambda check: check.images)
    for flip in full.flips[:MAX_SHOWN]:
        labels = f"the network gives {classes[flip.network]}, the file {classes[flip.file]}"
        screen.say(f"differs: {reference.files[flip.image]}: {labels}, by a margin of {flip.margin:.2g} in the logits")
    if parity.failures:
        remedies = "; ".join(filter(None, [consequence, EXPORTS[parity.precision].advice]))
        raise ParityError(f"the file's outputs differ from the network's: {listed(parity.failures, 3)}; {remedies}")
    return parity
