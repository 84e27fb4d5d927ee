"""A plugin that counts: connections, commands, replies, logins, messages, endings. As data, or as Prometheus reads it.

Nothing that a client says becomes a label without a bound: an unknown command is ``other``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from poplin.plugins.base import Plugin
from poplin.plugins.events import (
    Authenticated,
    AuthenticationRefused,
    CommandReceived,
    Connected,
    Disconnected,
    Event,
    PluginFailed,
    Removed,
    ReplySent,
    Retrieved,
)
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.replies import Continuation, Err

__all__ = ["Metrics"]

_HELP: Final = {
    "poplin_connections_total": ("counter", "Connections let in."),
    "poplin_sessions": ("gauge", "Connections held now, of those that began under this plugin."),
    "poplin_sessions_ended_total": ("counter", "Sessions that are over, by how they ended."),
    "poplin_commands_total": ("counter", "Commands carried out, by keyword."),
    "poplin_replies_total": ("counter", "Replies, by status."),
    "poplin_logins_total": ("counter", "Logins, by mechanism and outcome."),
    "poplin_messages_retrieved_total": ("counter", "Answers to RETR."),
    "poplin_octets_retrieved_total": ("counter", "Octets of the messages retrieved, as far as known beforehand."),
    "poplin_messages_removed_total": ("counter", "Messages removed."),
    "poplin_removals_failed_total": ("counter", "Messages marked for removal and not removed at QUIT."),
    "poplin_plugin_failures_total": ("counter", "Failures of plugins and handlers."),
}
_MOST = 32  # labels of mechanisms: with a class of command methods their names are the client's

Row = tuple[str, str]
"""A metric's name and its labels, as they are written."""


class Metrics(Plugin):
    """Counts what happens from when it is added on. One instance may serve several servers of a process."""

    def __init__(self) -> None:
        self._counts: Counter[Row] = Counter()
        self._mechanisms: set[str] = set()
        self._sessions: set[str] = set()

    @property
    def values(self) -> Mapping[str, int]:
        """Every count by name and labels, such as ``poplin_replies_total{status="ok"}``; a copy."""
        return {f"{name}{{{labels}}}" if labels else name: count for (name, labels), count in self._rows()}

    def prometheus(self) -> str:
        """The text format of Prometheus, version 0.0.4."""
        lines: list[str] = []
        rows = self._rows()
        for name, (kind, text) in _HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            found = [(labels, count) for (known, labels), count in rows if known == name]
            lines += [f"{name}{{{labels}}} {count}" if labels else f"{name} {count}" for labels, count in found]
            if not found:
                lines.append(f"{name} 0")
        return "\n".join(lines) + "\n"

    def on_remove(self) -> None:
        """Nobody tells of the endings from here on."""
        self._sessions.clear()

    def on_event(self, event: Event) -> None:
        """Count."""
        match event:
            case CommandReceived():
                self._count("poplin_commands_total", f'command="{_keyword(event.command.verb)}"')
            case ReplySent():
                self._count("poplin_replies_total", f'status="{_status(event)}"')
            case Connected():
                self._count("poplin_connections_total")
                self._sessions.add(event.client.session_id)
            case Disconnected():
                self._count("poplin_sessions_ended_total", f'ending="{event.ending.value}"')
                self._sessions.discard(event.client.session_id)
            case Authenticated() | AuthenticationRefused():
                outcome = "accepted" if isinstance(event, Authenticated) else "refused"
                self._count("poplin_logins_total", f'mechanism="{self._mechanism(event)}",outcome="{outcome}"')
            case Retrieved():
                self._count("poplin_messages_retrieved_total")
                self._count("poplin_octets_retrieved_total", by=event.octets or 0)
            case Removed():
                self._count("poplin_messages_removed_total", by=event.removed)
                self._count("poplin_removals_failed_total", by=event.marked - event.removed)
            case PluginFailed():
                self._count("poplin_plugin_failures_total")
            case _:
                pass

    def _count(self, name: str, labels: str = "", by: int = 1) -> None:
        self._counts[name, labels] += by

    def _rows(self) -> list[tuple[Row, int]]:
        return sorted([*self._counts.copy().items(), (("poplin_sessions", ""), len(self._sessions))])

    def _mechanism(self, event: Authenticated | AuthenticationRefused) -> str:
        name = event.mechanism
        if not name.replace("-", "").isalnum() or not name.isascii() or len(name) > 20:  # RFC 4422 section 3.1
            return "other"
        if len(self._mechanisms) < _MOST:
            self._mechanisms.add(name)
        return name if name in self._mechanisms else "other"


def _keyword(verb: str) -> str:
    if verb.startswith("*"):  # a line of the exchange that AUTH began
        return "AUTH"
    return verb if verb.encode(errors="replace") in GRAMMAR else "other"


def _status(event: ReplySent) -> str:
    if isinstance(event.reply, Continuation):
        return "challenge"
    return "error" if isinstance(event.reply, Err) else "ok"
