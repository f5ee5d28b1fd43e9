"""HTML in a cell becomes the text that a person would read."""

import pytest

from batchedit.jobs.html_text import to_text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("no HTML, 5 < 6 & 7 > 6", "no HTML, 5 < 6 & 7 > 6"),
        ("Salt &amp; pepper", "Salt & pepper"),
        ("<p>Stylish copper <b>bed</b>side light</p>", "Stylish copper bedside light"),
        ("<p>One</p><p>Two</p>", "One Two"),
        ("<ul><li>Oak<li>Steel</ul>Care: <br>wipe", "Oak Steel Care: wipe"),
        ("<table><tr><td>Width</td><td>40 cm</td></tr></table>", "Width 40 cm"),
        ("<p>caf&eacute;&nbsp;&#8217;n&#x2019; more</p>", "café ’n’ more"),
        ("<p>write &lt;b&gt; as it stands</p>", "write <b> as it stands"),
        ("<p>5 < 6 and a&b</p>", "5 < 6 and a&b"),
        ("<script>track()</script><p>Mug</p><style>p{}</style><!-- old -->", "Mug"),
        ('<a href="https://x.example" title="t">Mug</a><img alt="a" src="b">', "Mug"),
        ("<p>not closed <b>at all", "not closed at all"),
    ],
)
def test_html_is_read_as_a_person_reads_it(cell: str, text: str) -> None:
    assert to_text(cell) == text
