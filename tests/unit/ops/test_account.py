"""The account that the servers run under."""

import os
from pathlib import Path

import pytest

from ops.embedded.account import Account, can_reach, hand_over

STRANGER = Account(uid=54321, gid=54321)


def test_a_folder_that_everyone_may_enter_is_reached() -> None:
    """Every step down to it has the bit for others."""
    assert can_reach(Path("/usr/bin"), STRANGER)


def test_one_closed_folder_above_is_enough_to_hide_it(tmp_path: Path) -> None:
    """As /root hides whatever is checked out below it."""
    inner = tmp_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.chmod(0o777)
    inner.parent.chmod(0o700)

    assert not can_reach(inner, STRANGER)
    assert can_reach(inner, None)


def test_the_owner_passes_by_the_owners_bits(tmp_path: Path) -> None:
    """Bits for others do not matter to whom it belongs."""
    folder = tmp_path / "own"
    folder.mkdir(mode=0o700)
    status = folder.stat()

    assert can_reach(folder, Account(status.st_uid, status.st_gid))
    folder.chmod(0o077)
    assert not can_reach(folder, Account(status.st_uid, status.st_gid))


def test_without_a_switch_of_account_a_folder_is_only_closed_to_others(tmp_path: Path) -> None:
    """Where we are not root, nothing changes its owner."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)

    hand_over(folder, None)

    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.stat().st_uid == os.geteuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_all_below_is_handed_over_also_what_was_added_later(tmp_path: Path) -> None:
    """The first time the whole tree, later the files that we wrote beside the server's own."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").touch()

    hand_over(folder, STRANGER)
    (folder / "later").touch()
    hand_over(folder, STRANGER)

    owners = {path.stat().st_uid for path in (folder, *folder.rglob("*"))}
    assert owners == {STRANGER.uid}
