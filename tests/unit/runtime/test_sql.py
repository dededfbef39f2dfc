"""Named SQL."""

from pathlib import Path

import pytest

from runtime.sql import queries


def test_statements_stand_under_their_names(tmp_path: Path) -> None:
    """Comments before the first name are free; the semicolon is not the statement's."""
    (file := tmp_path / "x.sql").write_text(
        "-- what it is\n\n-- name: one\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n"
    )

    assert queries(file) == {"one": "SELECT 1", "two": "SELECT\n  2"}


@pytest.mark.parametrize(
    "text", ["SELECT 1;\n-- name: one\nSELECT 1", "-- name: one\nSELECT 1;\n-- name: one\nSELECT 2"]
)
def test_a_statement_without_a_name_of_its_own_is_a_fault(tmp_path: Path, text: str) -> None:
    """Before the first name, or under one that is taken."""
    (file := tmp_path / "x.sql").write_text(text)

    with pytest.raises(ValueError, match=r"x\.sql"):
        queries(file)
