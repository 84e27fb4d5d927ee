"""The POP3 protocol without I/O: both roles, under any loop or none. Standard library only; no asyncio, no ssl,
no socket, no clock."""

from poplin.protocol.capabilities import Capability
from poplin.protocol.client import ClientConnection
from poplin.protocol.connection import END_OF_INPUT, NEED_DATA, ServerConnection
from poplin.protocol.states import TRANSITIONS, State

__all__ = [
    "END_OF_INPUT",
    "NEED_DATA",
    "TRANSITIONS",
    "Capability",
    "ClientConnection",
    "ServerConnection",
    "State",
]
