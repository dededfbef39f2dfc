"""The diagram of the playback's states."""

from pathlib import Path

from workers.sync.diagram import edges, mermaid

PAGE = Path(__file__).resolve().parents[3] / "docs" / "playback.md"


def test_the_page_shows_what_the_table_does() -> None:
    """docs/playback.md has the diagram as the code draws it; if not, put `mermaid()` there."""
    assert f"```mermaid\n{mermaid()}```" in PAGE.read_text("utf-8")


def test_every_state_can_be_left_and_come_to() -> None:
    """None is a dead end; a hold is entered from play or a start, and always left by its deadline."""
    found = edges()

    for state in ("nothing", "paused", "playing", "holding"):
        assert any(before == state != after for before, after in found)
        assert any(after == state != before for before, after in found)
    assert "deadline" in found["holding", "playing"]
    assert "play" in found["holding", "playing"]
    assert {before for before, after in found if after == "holding"} == {"paused", "playing", "holding"}
    assert "pause" in found["holding", "paused"]
