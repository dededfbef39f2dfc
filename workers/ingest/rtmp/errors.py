"""Errors, named by whose fault it is."""

from __future__ import annotations


class RemoteProtocolError(Exception):
    """The peer broke the protocol, or one of our named limits; the connection cannot go on."""


class AmfError(RemoteProtocolError):
    """Bytes that are not AMF0 or AMF3, or exceed the limits on them here."""


class LocalProtocolError(Exception):
    """We asked the connection for something its state does not allow; a fault in our own code."""
