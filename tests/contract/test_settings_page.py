"""The page of settings is the tree of settings."""

from pathlib import Path

from ops.settings_page import page
from runtime.settings import env_name, leaves

PAGE = Path(__file__).resolve().parents[2] / "docs" / "settings.md"


def test_the_page_is_what_the_code_says() -> None:
    """docs/settings.md is up to date; if not: `./matinee config page > docs/settings.md`."""
    assert PAGE.read_text("utf-8") == page()


def test_every_setting_says_what_it_is() -> None:
    """No setting without a sentence."""
    assert [env_name(path) for path, field in leaves() if not field.description] == []
