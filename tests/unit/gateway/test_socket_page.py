"""The socket's document as a page."""

from gateway.http.socket_page import render
from gateway.ws.asyncapi import document


def test_the_page_shows_every_frame_and_code_and_escapes_what_it_shows() -> None:
    """Plain HTML without scripts, each frame with its fields and examples, every shape to be jumped to."""
    made = document("<script>")
    page = render(made)

    for name in made["components"]["messages"]:
        assert f'id="{name}"' in page
    for code in made["channels"]["socket"]["x-close-codes"]:
        assert f"<code>{code}</code>" in page
    assert 'href="#PlaybackState"' in page
    assert 'id="PlaybackState"' in page
    assert "&lt;b&gt;as typed&lt;/b&gt;" in page
    assert "<script" not in page
