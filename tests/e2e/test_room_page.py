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
        await ann.call("PATCH", f"rooms/{room}", {"settings": {"kick_cooldown_s": 3}})
        await host.get_by_role("tab", name="People").click()
        await host.get_by_label(f"Actions for {ben.account['user']['username']}").click()
        await host.get_by_role("menuitem", name="Put out of the room").click()
        await expect(visitor.get_by_role("heading", name="You were removed from the room")).to_be_visible()
        shut = visitor.get_by_role("button", name=re.compile(r"Go back in · 0:0\d"))
        await expect(shut).to_be_disabled()
        await visitor.get_by_role("button", name="Go back in", exact=True).click()
        await expect(visitor.get_by_label("Password of the room")).to_be_visible()

    assert second < first - 20, f"the text does not fly: {first} px, then {second} px"


async def _titles(page: Page) -> list[str]:
    return await page.locator(".items .item-title").all_inner_texts()


async def test_newcomers_wait_or_bring_an_invitation_and_a_video_is_dragged_into_a_folder(
    stack: MatineeStack, chromium: str
) -> None:
    """One waits until the host lets him in, one comes by a link at once; both see a video go into a folder and back."""
    async with (
        person(stack) as ann,
        person(stack) as ben,
        person(stack) as cleo,
        browser(chromium) as running,
    ):
        room = (await ann.call("POST", "rooms", {"name": "By the door", "settings": {"approval": True}}))[
            "id"
        ]
        for draft in (
            {"kind": "url", "title": "Film", "url": f"{stack.http}/none.mp4", "duration": 90},
            {"kind": "folder", "title": "Season"},
        ):
            await ann.call("POST", f"rooms/{room}/playlist", draft)
        waiting = await page_of(running, ben, f"/r/{room}")
        await expect(
            waiting.get_by_role("heading", name="Waiting for somebody to let you in")
        ).to_be_visible()
        host = await page_of(running, ann, f"/r/{room}")
        await host.get_by_role("tab", name="1 waiting to be let in").click()
        await host.get_by_label(f"Let {ben.account['user']['username']} in").click()
        await expect(waiting.get_by_role("heading", name="By the door")).to_be_visible()

        await host.get_by_label("People").get_by_role("button", name="Invite").click()
        await host.get_by_role("button", name="Make one").click()
        link = await host.get_by_label("Nobody came yet").first.input_value()
        await host.keyboard.press("Escape")
        invited = await page_of(running, cleo, link[link.index("/r/") :])
        await expect(invited.get_by_role("heading", name="By the door")).to_be_visible()
        await expect(invited).to_have_url(re.compile(f"/r/{room}$"))

        for page in (host, invited):
            await page.get_by_role("tab", name="Playlist").click()
        await host.locator(".line", has_text="Film").drag_to(host.locator(".line", has_text="Season"))
        await expect(invited.locator(".line", has_text="Film")).to_have_count(0)
        await invited.get_by_role("button", name="Season 1 video").click()
        assert await _titles(invited) == ["Season", "Film"]
        await host.get_by_role("button", name="Undo").click()
        await expect(invited.get_by_text("Nothing is in this folder.")).to_be_visible()
        assert await _titles(invited) == ["Film", "Season"]
