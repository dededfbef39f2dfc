"""`matinee config`: the settings as this command sees them."""

import typer
from pydantic import SecretStr

from ops import settings_page
from ops.connections import load_settings
from runtime.logs import redact
from runtime.settings import Settings, env_name, leaves

config = typer.Typer(help="The settings.", no_args_is_help=True)


@config.callback()
def _group() -> None:
    """The settings."""


@config.command()
def show() -> None:
    """Print every setting with its value, its variable and whether it is the default; secrets stay hidden."""
    settings = load_settings()
    for path, _ in leaves():
        value, chosen = _value(settings, path)
        print(f"{'.'.join(path)} = {value}  ({env_name(path)}{'' if chosen else ', default'})")


@config.command()
def page() -> None:
    """Print docs/settings.md."""
    print(settings_page.page(), end="")


def _value(settings: Settings, path: tuple[str, ...]) -> tuple[str, bool]:
    holder: object = settings
    chosen = True
    for step in path:
        chosen = chosen and step in getattr(holder, "model_fields_set", frozenset())
        holder = getattr(holder, step)
    if isinstance(holder, SecretStr):
        return redact(holder.get_secret_value()), chosen
    return redact(str(holder)), chosen
