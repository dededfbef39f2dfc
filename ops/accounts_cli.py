"""`matinee user`: accounts, made and changed by whoever runs the machine."""

import asyncio
import getpass
import sys
from typing import Annotated

import typer

from bus_schemas.limits import INVITATION_LIFE_MAX_S
from ops import accounts, data_directory
from ops.connections import database, load_settings
from ops.options import Data
from runtime.ids import new_secret
from runtime.invitation_codes import site_link

users = typer.Typer(help="Accounts.", no_args_is_help=True)

Generate = Annotated[bool, typer.Option("--generate", help="Make a password and print it.")]


@users.callback()
def _group() -> None:
    """Accounts."""


@users.command()
def add(
    username: str, *, role: str = "user", generate: Generate = False, data: Data = data_directory.DEFAULT
) -> None:
    """Make an account; the password is asked for, or read from standard input."""
    accounts.check_username(username)
    accounts.check_role(role)
    password = _password(generate=generate)

    async def work() -> None:
        settings = load_settings()
        async with database(settings, data.absolute()) as dsn:
            await accounts.add_account(dsn, settings.auth, username, password, role)

    asyncio.run(work())
    print(f"The account {username} is there, with role {role}.")
    if generate:
        print(f"Its password: {password}")


@users.command()
def passwd(username: str, *, generate: Generate = False, data: Data = data_directory.DEFAULT) -> None:
    """Give an account another password and end its sessions."""
    password = _password(generate=generate)

    async def work() -> None:
        settings = load_settings()
        async with database(settings, data.absolute()) as dsn:
            await accounts.set_password(dsn, settings.auth, username, password)

    asyncio.run(work())
    print(f"The password of {username} is changed.")
    if generate:
        print(f"It is: {password}")


@users.command("role")
def set_role(username: str, role: str, *, data: Data = data_directory.DEFAULT) -> None:
    """Give an account another site role: root, admin or user."""

    async def work() -> None:
        async with database(load_settings(), data.absolute()) as dsn:
            await accounts.set_role(dsn, username, role)

    asyncio.run(work())
    print(f"{username} has the role {role} now.")


@users.command()
def invite(
    *,
    hours: Annotated[
        int | None,
        typer.Option(min=1, max=INVITATION_LIFE_MAX_S // 3_600, help="Life of the code; for ever without."),
    ] = None,
    data: Data = data_directory.DEFAULT,
) -> None:
    """Make a code for one account, to register with where registration is by invitation."""

    async def work() -> tuple[str, str]:
        settings = load_settings()
        async with database(settings, data.absolute()) as dsn:
            code = await accounts.make_invitation(dsn, None if hours is None else hours * 3_600)
        return code, settings.gateway.public_url.rstrip("/")

    code, origin = asyncio.run(work())
    print(f"The code: {code}")
    if origin:
        print(f"Its link: {site_link(origin, code)}")


def _password(*, generate: bool) -> str:
    if generate:
        return new_secret()[:20]
    asked = sys.stdin.isatty()
    password = getpass.getpass("Password: ") if asked else sys.stdin.readline().rstrip("\r\n")
    accounts.check_password(password)
    return password
