"""HTML in a feed's cell as the text a person would read, on one line: a prompt has no use for tags."""

from __future__ import annotations

import html
import re

LOOKS_LIKE_HTML = re.compile(
    r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*|\s*/)?>|&(?:[a-zA-Z]{2,8}|#\d{1,6}|#x[0-9a-fA-F]{1,6});|<!--"
)
_BREAKS = re.compile(
    r"<(/?(?:p|div|br|li|ul|ol|tr|td|th|table|h[1-6]|section|article|header|footer|hr|blockquote)\b)", re.IGNORECASE
)


def to_text(cell: str) -> str:
    """``cell`` as it is if it holds no HTML, else its text without tags, scripts and styles, spaces run together."""
    if not LOOKS_LIKE_HTML.search(cell):
        return cell
    if "<" not in cell:
        return html.unescape(cell)
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - only feeds with HTML need it

    tree = LexborHTMLParser(_BREAKS.sub(r" <\1", cell))
    tree.strip_tags(["script", "style", "template", "noscript"])
    text = tree.body.text() if tree.body else ""
    return " ".join(text.split())
