"""How many may watch a stream."""

import pytest

from gateway.live.viewer_limits import limit_of


@pytest.mark.parametrize(
    ("own", "hooked", "site", "limit"),
    [
        (0, None, 0, 0),
        (5, None, 0, 5),
        (5, None, 3, 3),
        (0, None, 3, 3),
        (5, 2, 0, 2),
        (2, 5, 0, 5),
        (2, 0, 0, 0),
        (2, 0, 7, 7),
        (2, 9, 7, 7),
    ],
)
def test_a_hook_stands_in_place_of_the_streams_own_limit_within_the_sites(
    own: int, hooked: int | None, site: int, limit: int
) -> None:
    """0 is no limit; None is what no hook said."""
    assert limit_of(own, hooked, site) == limit
