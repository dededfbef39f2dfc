"""A room from its making to somebody being put out of it, by what people see and press."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from tests.e2e.people import browser, page_of, person
from tests.stack import MatineeStack

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

PASSWORD = "open sesame"


async def _say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def _lock(page: Page) -> None:
    """Put a password on the room by its settings."""
    await page.get_by_label("Room menu").click()
    await page.get_by_role("menuitem", name="Room settings").click()
    await page.get_by_role("button", name="Set one").click()
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def _left_of(page: Page, text: str) -> float:
    """Where the flying text begins now, px from the left of the window."""
    left: float = await page.locator(".danmaku", has_text=text).evaluate(
        "node => node.getBoundingClientRect().left"
    )
    return left


async def test_a_room_is_made_locked_joined_talked_in_and_somebody_is_put_out(
    stack: MatineeStack, chromium: str
) -> None:
    """Made by hand, entered with its password, talked in both ways, with a text flying, until one is kicked."""
    async with person(stack) as ann, person(stack) as ben, browser(chromium) as running:
        host = await page_of(running, ann, "/")
        await host.get_by_label("Name of the room").fill("Friday films")
        await host.get_by_role("button", name="Make the room").click()
        await expect(host.get_by_role("heading", name="Friday films")).to_be_visible()
        await _lock(host)

        visitor = await page_of(running, ben, re.sub(r"^.*?(?=/r/)", "", host.url))
        await visitor.get_by_label("Password of the room").fill("not this one")
        await visitor.get_by_role("button", name="Come in").click()
        await expect(visitor.get_by_text("That is not the password.")).to_be_visible()
        await visitor.get_by_label("Password of the room").fill(PASSWORD)
        await visitor.get_by_role("button", name="Come in").click()
        await expect(visitor.get_by_role("heading", name="Friday films")).to_be_visible()

        await _say(host, "Are you sitting well?")
        await expect(visitor.get_by_role("log")).to_contain_text("Are you sitting well?")
        await visitor.get_by_role("log").get_by_text("Are you sitting well?").hover()
        await visitor.get_by_label(f"Answer {ann.account['user']['username']}").click()
        await _say(visitor, "Like a king <b>")
        answer = host.locator(".message", has_text="Like a king <b>")
        await expect(answer.locator(".quote")).to_contain_text("Are you sitting well?")

        await visitor.get_by_label("Let it fly over the picture").click()
        await visitor.get_by_label("Comment over the picture").fill("wheee")
        await visitor.keyboard.press("Enter")
        await host.wait_for_selector(".danmaku")
        first = await _left_of(host, "wheee")
        await asyncio.sleep(0.5)
        second = await _left_of(host, "wheee")

        room = host.url.rpartition("/")[2]
        await ann.call("PATCH", f"rooms/{room}", {"settings": {"kick_cooldown_s": 0}})
        await host.get_by_role("tab", name="People").click()
        await host.get_by_label(f"Actions for {ben.account['user']['username']}").click()
        await host.get_by_role("menuitem", name="Put out of the room").click()
        await expect(visitor.get_by_role("heading", name="You were removed from the room")).to_be_visible()
        await visitor.get_by_role("button", name="Go back in").click()
        await expect(visitor.get_by_label("Password of the room")).to_be_visible()

    assert second < first - 20, f"the text does not fly: {first} px, then {second} px"
