"""The browser client has the permission table written down once more: it must be the same table."""

import re
from pathlib import Path

from bus_schemas.permissions import Permission

TABLE = Path(__file__).resolve().parents[2] / "web" / "src" / "permissions.ts"


def test_the_browser_client_knows_every_bit_by_its_number() -> None:
    """Names and bits in web/src/permissions.ts are those of `Permission`."""
    text = TABLE.read_text("utf-8")
    body = text[text.index("export const BITS") : text.index("} as const")]

    found = {name: int(bit) for name, bit in re.findall(r"^  ([A-Z_]+): (\d+),$", body, re.MULTILINE)}

    assert found == {bit.name: bit.value.bit_length() - 1 for bit in Permission}
