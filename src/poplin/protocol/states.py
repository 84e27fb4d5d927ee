"""The states of a POP3 session and every move between them, as data.

No octets, no time, no maildrop in this file. A move is keyed by the state, the command's verb and
whether the stage's own reply was positive: PASS moves only with +OK. Ends that no command asks for
(timeout, loss, kick) are not moves: the driver ends the session.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Final

__all__ = ["MOVING", "TRANSITIONS", "State", "next_state"]


class State(Enum):
    """RFC 1939 section 3, with the two ends of a connection."""

    CONNECT = "CONNECT"
    AUTHORIZATION = "AUTHORIZATION"
    TRANSACTION = "TRANSACTION"
    UPDATE = "UPDATE"
    DISCONNECT = "DISCONNECT"


TRANSITIONS: Final[Mapping[tuple[State, str, bool], State]] = MappingProxyType(
    {
        (State.CONNECT, "greeting", True): State.AUTHORIZATION,
        (State.CONNECT, "greeting", False): State.DISCONNECT,
        (State.AUTHORIZATION, "PASS", True): State.TRANSACTION,
        (State.AUTHORIZATION, "APOP", True): State.TRANSACTION,
        (State.AUTHORIZATION, "AUTH", True): State.TRANSACTION,
        (State.AUTHORIZATION, "STLS", True): State.AUTHORIZATION,
        (State.AUTHORIZATION, "QUIT", True): State.DISCONNECT,
        (State.TRANSACTION, "QUIT", True): State.UPDATE,
        (State.UPDATE, "commit", True): State.DISCONNECT,
        (State.UPDATE, "commit", False): State.DISCONNECT,
    }
)
"""(state, verb or inner event, positive) → the state after it. What is absent stays where it is."""


MOVING: Final = frozenset(verb for _, verb, _ in TRANSITIONS)
"""The verbs that move a session somewhere; to look a state up costs more than this does."""


def next_state(state: State, verb: str, *, positive: bool) -> State:
    """The state after `verb` was answered in `state`."""
    return TRANSITIONS.get((state, verb, positive), state)
