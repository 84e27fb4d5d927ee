"""A plugin that writes who did what: one line for each login, message retrieved, removal and ending.

A line is a JSON object, so that no name can forge one. No password and no text of a message is ever in it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from poplin.plugins.base import Plugin
from poplin.plugins.events import (
    Authenticated,
    AuthenticationRefused,
    Disconnected,
    Event,
    Removed,
    Retrieved,
    SessionEvent,
)

__all__ = ["Audit"]

logger: logging.Logger = logging.getLogger("poplin.audit")


class Audit(Plugin):
    """Calls `write` with each line, without a line end; by default the logger ``poplin.audit`` gets it at INFO.

    Every line has ``event`` (``login``, ``refused``, ``retrieved``, ``removed``, ``ended``), ``session``, ``address``
    and ``tls``; the others are those of `poplin.plugins.events`.
    """

    def __init__(self, write: Callable[[str], object] = logger.info) -> None:
        self._write = write

    def on_event(self, event: Event) -> None:
        """Write what is worth a line."""
        match event:
            case Authenticated():
                self._line(event, "login", user=event.user, mechanism=event.mechanism)
            case AuthenticationRefused():
                self._line(event, "refused", user=event.user, mechanism=event.mechanism)
            case Retrieved():
                self._line(event, "retrieved", user=event.user, unique_id=event.unique_id, octets=event.octets)
            case Removed():
                self._line(event, "removed", user=event.user, marked=event.marked, removed=event.removed)
            case Disconnected():
                self._line(event, "ended", ending=event.ending.value)
            case _:
                pass

    def _line(self, event: SessionEvent, name: str, **fields: object) -> None:
        client = event.client
        tls = client.tls.version if client.tls is not None else None
        row = {"event": name, "session": client.session_id, "address": client.address, "tls": tls, **fields}
        self._write(json.dumps(row))
