"""The parts that HTML is made of here. Every name that comes from outside passes `text` or `name`."""

import base64
from collections.abc import Sequence
from html import escape

from infer.core.text import shown


def text(value: str) -> str:
    """Any text as HTML, in an element or an attribute; what cannot be printed is made visible."""
    return escape(shown(value))


def name(value: str) -> str:
    """A name from outside as HTML: its direction of writing does not reach what is around it."""
    return f"<bdi>{text(value)}</bdi>"


def data_uri(kind: str, content: bytes) -> str:
    """Bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """Names and values."""
    rows = "".join(f'<tr><th scope="row">{text(what)}</th><td>{name(value)}</td></tr>\n' for what, value in facts)
    return f'<table class="facts"><tbody>\n{rows}</tbody></table>'


def bullets(items: Sequence[str], kind: str = "") -> str:
    """A list of sentences, nothing where there are none."""
    marked = f' class="{kind}"' if kind else ""
    return f"<ul{marked}>{''.join(f'<li>{text(item)}</li>' for item in items)}</ul>" if items else ""


def wide(table: str, what: str) -> str:
    """A table in a box of its own, which scrolls sideways, by the keyboard too, where the page is narrow."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{text(what)}">{table}</div>'
