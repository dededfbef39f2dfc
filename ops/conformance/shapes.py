"""Whether what a server sends is what the contract says: by the contract's own types. Pure."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from bus_schemas.socket_frames import EVENTS, FRAMES, MOMENTS, Seq

_FAULTS_SHOWN: Final = 3


@cache
def _adapter(model: Any) -> TypeAdapter[Any]:
    return TypeAdapter(model)


def fault_in(model: Any, text: str | bytes) -> str:
    """What is wrong with a JSON text as one of `model`; empty where nothing is. More fields are no fault."""
    try:
        _adapter(model).validate_json(text, strict=True)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)[:_FAULTS_SHOWN]
        return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors)
    return ""


def fault_in_frame(frame: object, text: str) -> str:
    """What is wrong with a frame of a server's; empty where nothing is, or its type is not known here."""
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        return "a frame is an object with a type"
    kind = frame["type"]
    if kind in EVENTS:
        try:
            _adapter(Seq).validate_python(frame.get("seq"), strict=True)
        except ValidationError:
            return "a room event has a seq, which is a whole number"
        return fault_in(EVENTS[kind], text)
    if kind in MOMENTS:
        return "there is no seq in what is not numbered" if "seq" in frame else fault_in(MOMENTS[kind], text)
    return fault_in(FRAMES[kind], text) if kind in FRAMES else ""
