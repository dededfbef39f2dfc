"""Chat text as HTML."""

import pytest

from runtime.rich_text import as_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("<b>hi</b> & bye", "&lt;b&gt;hi&lt;/b&gt; &amp; bye"),
        ("one\ntwo", "one<br>two"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
    ],
)
def test_markup_is_shown_and_not_obeyed(text: str, html: str) -> None:
    """What was typed is what is read."""
    assert as_html(text) == html


def test_a_link_is_a_link_that_gives_nothing_away() -> None:
    """Not followed by robots, and the page it opens cannot reach back."""
    html = as_html('see https://example.org/?a=1&b="x"')

    assert html.startswith('see <a href="https://example.org/?a=1&amp;b=')
    assert 'rel="nofollow noopener noreferrer"' in html
    assert 'target="_blank"' in html
    assert "<script" not in as_html("https://example.org/<script>")
