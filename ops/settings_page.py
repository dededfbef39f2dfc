"""`docs/settings.md`, written from the tree of settings: the page cannot say anything else than the code."""

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from runtime.settings import env_name, leaves

_HEAD = """# Settings

Flags over environment over `matinee.toml` (or the file that `MATINEE_CONFIG` names) over the defaults here. In the
file a group is a table: `[gateway]`, `port = 8080`. Lists in the environment are separated by commas. All is checked
at start: `matinee check-config` names every fault at once, `matinee config show` prints what is in force.

This page is written by `matinee config page` from `runtime/settings.py`.
"""
_SIGNS = {Ge: "≥", Gt: ">", Le: "≤", Lt: "<"}


def page() -> str:
    """The whole page."""
    lines = [_HEAD]
    group = None
    for path, field in leaves():
        if path[:-1] != group:
            group = path[:-1]
            lines += [
                f"\n## {'.'.join(group) or 'On top'}\n",
                "| setting | variable | default | what it is |",
                "|---|---|---|---|",
            ]
        what = (field.description or "").replace("\n", " ").replace("|", "\\|")
        lines.append(f"| `{path[-1]}` | `{env_name(path)}` | {_default(field)} | {what}{_range(field)} |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined or value in ("", ()):
        return "–"
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _range(field: FieldInfo) -> str:
    bounds = []
    for constraint in field.metadata:
        for kind, sign in _SIGNS.items():
            if isinstance(constraint, kind):
                bounds.append(f"{sign} {getattr(constraint, kind.__name__.lower())}")
    return f" ({', '.join(bounds)})" if bounds else ""
