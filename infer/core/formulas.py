"""Text that a spreadsheet would run as a formula when it opens a CSV, made harmless and read back as it was.

An apostrophe in front makes a cell text (https://owasp.org/www-community/attacks/CSV_Injection). Text that begins with
apostrophes before a formula gets one more, so that taking one off gives back every text.
"""

import re
from collections.abc import Iterable

from infer.core.console import Screen
from infer.core.text import listed

MARK = "'"
FORMULA = re.compile(
    rf"""{MARK}*(?:[\t\r\n]            # spreadsheets skip these before a formula
    |\s*[=@＝＠]                       # full-width signs count in East Asian versions
    |\s*[-+－＋](?![\w./\\+\- ]*\Z))   # but for a number or a plain name: -0.5, -12.png""",
    re.VERBOSE,
)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may run a text, alone or after apostrophes.

    After a plus or a minus sign that takes a character which numbers and plain names lack: a bracket, a bar, ...
    """
    return FORMULA.match(text) is not None


def guarded(text: str) -> str:
    """The text as a CSV holds it: with an apostrophe before what a spreadsheet may run."""
    return MARK + text if is_formula(text) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` made a cell from."""
    return cell[1:] if cell.startswith(MARK) and is_formula(cell) else cell


def tell_formulas(screen: Screen, texts: Iterable[str], raw: bool | None = None) -> None:
    """Print a line where names or labels that go into a CSV are formulas, and what becomes of them.

    Args:
        screen: where it prints.
        texts: the names and labels.
        raw: whether --raw-csv keeps them as they are; None: the command has no such option.
    """
    found = list(dict.fromkeys(text for text in texts if is_formula(text)))
    names = f"names or labels that a spreadsheet may run as a formula ({len(found)}): {listed(found)}"
    if found and raw:
        screen.say(f"warning: the CSV holds {names}; without --raw-csv they are made harmless")
    elif found:
        remedy = "" if raw is None else "; --raw-csv keeps them as they are"
        screen.say(f"note: the CSV has an apostrophe before {names}{remedy}")
