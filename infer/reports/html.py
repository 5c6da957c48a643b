"""Parts of HTML pages. Every name that comes from outside goes through `text` or `name`."""

import base64
from collections.abc import Sequence
from html import escape

from infer.core.text import shown


def text(value: str) -> str:
    """Any text, escaped for an element or an attribute; unprintable characters are made visible."""
    return escape(shown(value))


def name(value: str) -> str:
    """A name from outside, escaped and isolated, so that its writing direction does not affect the text around it."""
    return f"<bdi>{text(value)}</bdi>"


def data_uri(kind: str, content: bytes) -> str:
    """Bytes of a media type as a `data:` URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def facts_table(facts: Sequence[tuple[str, str]]) -> str:
    """A table of names and values."""
    rows = "".join(f'<tr><th scope="row">{text(label)}</th><td>{name(value)}</td></tr>\n' for label, value in facts)
    return f'<table class="facts"><tbody>\n{rows}</tbody></table>'


def bullets(items: Sequence[str], kind: str = "") -> str:
    """A list of sentences; an empty string where there are none. `kind`: its CSS class."""
    css_class = f' class="{kind}"' if kind else ""
    return f"<ul{css_class}>{''.join(f'<li>{text(item)}</li>' for item in items)}</ul>" if items else ""


def wide(table: str, label: str) -> str:
    """A table in a box that scrolls sideways where the page is narrow, by keyboard too; `label`: for screen readers."""
    return f'<div class="wide" role="region" tabindex="0" aria-label="{text(label)}">{table}</div>'
