"""Generated passwords."""

from pathlib import Path

from ops.embedded.secret import stored_secret, write_private


def test_a_secret_is_made_once_and_needs_no_quoting(tmp_path: Path) -> None:
    """The same from one start to the next, and safe inside an address."""
    first = stored_secret(tmp_path / "one")

    assert stored_secret(tmp_path / "one") == first
    assert stored_secret(tmp_path / "two") != first
    assert len(first) == 48
    assert first.isalnum()


def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    """Also where an older one was, with other rights."""
    target = tmp_path / "file"
    target.write_text("old")
    target.chmod(0o644)

    write_private(target, "new")

    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_draft_left_by_a_killed_start_is_no_obstacle(tmp_path: Path) -> None:
    """The next start writes over it."""
    (tmp_path / ".file.new").write_text("half")

    write_private(tmp_path / "file", "whole")

    assert (tmp_path / "file").read_text() == "whole"
