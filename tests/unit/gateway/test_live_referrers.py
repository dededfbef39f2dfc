"""Which pages may show our streams."""

import pytest

from gateway.live.referrers import may_embed

HOSTS = ("partner.example", "*.school.example")


@pytest.mark.parametrize(
    "page",
    [
        "",
        "https://watch.example/r/1",
        "https://watch.example:8443",
        "https://partner.example/blog?x=1",
        "https://PARTNER.example",
        "http://a.school.example/",
        "http://a.b.school.example",
    ],
)
def test_our_own_and_listed_pages_and_players_outside_pages_may(page: str) -> None:
    """Port, path, letter case and scheme do not matter."""
    assert may_embed(page, "watch.example", HOSTS)


@pytest.mark.parametrize(
    "page",
    [
        "https://thief.example/",
        "https://partner.example.thief.example/",
        "https://school.example",
        "https://evilpartner.example",
        "https://thief.example/partner.example",
        "https://partner.example@thief.example/",
        "null",
        "file:///home/me/page.html",
        "https://[::1",
    ],
)
def test_all_others_may_not(page: str) -> None:
    """Neither by a name that looks alike nor by having none."""
    assert not may_embed(page, "watch.example", HOSTS)


def test_without_a_list_everybody_may() -> None:
    """The default: CORS is open on media."""
    assert may_embed("https://anybody.example", "watch.example", ())
