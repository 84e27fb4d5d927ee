"""The command-class face: subclass `CommandServer`, one method a command, as in ``http.server``.

An instance is one session; the class is what a server serves. What a subclass does not override is done by
poplin's own stages, if there are maildrops and an authenticator for them to work with. How commands are added and
removed is in ``session.command_table``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import AsyncIterator, Iterable
from collections.abc import Set as AbstractSet
from typing import ClassVar, TypeAlias

from poplin.content import Content
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.maildrops.base import Ending
from poplin.protocol.commands import AuthCancel, AuthResponse
from poplin.protocol.parsing import parse_command
from poplin.protocol.replies import Continuation, Err, MultiLine, Ok, Reply, Status
from poplin.protocol.states import State
from poplin.protocol.texts import say
from poplin.session.command_table import CommandTable, keyword_of
from poplin.session.methods import MethodSession

__all__ = ["Answer", "Body", "CommandServer"]

Answer: TypeAlias = MaybeAwaitable[Reply]
"""What a command method returns, plain or ``async``."""

Body: TypeAlias = "bytes | str | Iterable[str | bytes] | AsyncIterator[bytes]"
"""A multi-line body: octets or text as a whole, the lines of it (with or without their ends), or pieces of octets
that come when they are ready."""

_LONGEST = 400  # octets of a text of ours: status, timestamp and CRLF fit beside it (RFC 2449 section 4: 512)


class CommandServer(CommandTable):
    """A POP3 server with a method for each command: ``poplin.Server(commands=MyServer, port=1110).run()``.

    ``do_STAT(self, argument)`` carries out STAT; `argument` is the rest of the command line. It returns
    ``self.ok(text)``, ``self.err(text)`` or ``self.data(text, body)``, plain or ``async``. A command of your own
    needs nothing but a method (it works before and after login), or `add_command` for a choice of states and a
    line in CAPA.

    A positive answer to PASS, APOP or AUTH logs in, a negative one counts as a refused login; `log_in` opens a
    maildrop of the server. QUIT after a login commits. What a method raises is logged, and the client hears
    ``-ERR [SYS/TEMP]`` without its text (``Policy.show_errors`` shows it, ``Policy.raise_errors`` raises it again).

    An instance is one session: what you keep on it is the session's own. Hooks: `connect`, `commit`, `disconnect`.
    """

    greeting: ClassVar[str | None] = ""
    """The greeting's text; ``""`` takes the server's, ``None`` sends none."""

    goodbye: ClassVar[str] = ""
    """The text that answers QUIT; ``""`` takes the server's."""

    def __init__(self, session: MethodSession, /) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.client.session_id} {self.state.value}>"

    # What a method may use

    @property
    def client(self) -> ClientFacts:
        """The facts of the connection."""
        return self._session.client

    @property
    def state(self) -> State:
        """The state of the session."""
        return self._session.state

    @property
    def timestamp(self) -> str:
        """The APOP timestamp in the greeting, angle brackets included; ``""`` if there is none."""
        return self._session.timestamp

    def ok(self, text: str = "", code: str = "") -> Ok:
        """``+OK [code] text``."""
        return Ok(_line(text), code)

    def err(self, text: str = "", code: str = "") -> Err:
        """``-ERR [code] text``."""
        return Err(_line(text), code)

    def data(self, text: str, body: Body) -> MultiLine:
        """``+OK text`` and a multi-line body; line ends, dots and the terminator are put right for you."""
        return MultiLine(self.ok(text), Content(_octets(body)))

    def challenge(self, octets: bytes = b"") -> Continuation:
        """``+`` and these octets in base64: a step of a SASL exchange of your own; `respond` gets the answer."""
        return Continuation(octets)

    def close(self) -> None:
        """Close the connection: behind the answer of the running method, whatever it is; between two commands at
        once, with a farewell. Nothing is removed."""
        self._session.close()

    async def log_in(self, user: str | Identity) -> Reply:
        """Let `user` in: the answer to PASS, APOP or AUTH, with the user's maildrop open.

        Raises:
            RuntimeError: the session is past its login.
            SessionError: the maildrop cannot be opened (`InUse`, say); left alone, it tells the client so.
        """
        return await self._session.log_in(user if isinstance(user, Identity) else Identity(user))

    async def builtin(self, verb: str, argument: str) -> Reply:
        """Have poplin's own stage carry out a command: what every method does that is not overridden. What follows
        its reply (a login, TLS, the close, the delay of a refused login) follows your answer too."""
        if verb not in self._session.known:
            return Err(say("unimplemented"))
        line = f"{verb} {argument}" if argument else verb
        return await self._session.by_stage(parse_command(line.encode("utf-8", "surrogateescape")))

    # Hooks

    def connect(self) -> MaybeAwaitable[Status | None]:
        """The connection begins, before the greeting. ``self.err(text)`` refuses it."""

    def commit(self) -> MaybeAwaitable[None]:
        """QUIT after a login: make lasting what the session did, before the goodbye. What it raises is told to the
        client as ``-ERR``, and poplin's own removal does not take place."""

    def disconnect(self, ending: Ending) -> MaybeAwaitable[None]:
        """The session is over, however it ended; called once. Roll back here what was not committed."""

    # What the session asks for

    def greet(self, text: str, /) -> str | None:
        """The greeting, the timestamp included."""
        if self.greeting is None:
            return None
        return f"{self.greeting} {self.timestamp}".rstrip() if self.greeting else text

    @classmethod
    def mechanisms(cls) -> AbstractSet[str]:
        """The ways to log in that the class's own methods serve."""
        names = {"USER": "do_PASS", "APOP": "do_APOP"}
        return {name for name, method in names.items() if getattr(cls, method) is not getattr(CommandServer, method)}

    def respond(self, response: bytes | None) -> Answer:
        """A line of a SASL exchange, base64 removed; ``None``: the client gave up. Override it beside `do_AUTH` for
        a mechanism of your own, and leave the others to ``super().respond(response)``."""
        return self._session.by_stage(AuthCancel() if response is None else AuthResponse(response))

    # Commands

    def do_USER(self, argument: str) -> Answer:
        """USER name."""
        return self.builtin("USER", argument)

    def do_PASS(self, argument: str) -> Answer:
        """PASS password."""
        return self.builtin("PASS", argument)

    def do_APOP(self, argument: str) -> Answer:
        """APOP name digest."""
        return self.builtin("APOP", argument)

    def do_AUTH(self, argument: str) -> Answer:
        """AUTH [mechanism [initial-response]]."""
        return self.builtin("AUTH", argument)

    def do_STLS(self, argument: str) -> Answer:
        """STLS."""
        return self.builtin("STLS", argument)

    def do_CAPA(self, argument: str) -> Answer:
        """CAPA."""
        return self.builtin("CAPA", argument)

    def do_STAT(self, argument: str) -> Answer:
        """STAT."""
        return self.builtin("STAT", argument)

    def do_LIST(self, argument: str) -> Answer:
        """LIST [number]."""
        return self.builtin("LIST", argument)

    def do_UIDL(self, argument: str) -> Answer:
        """UIDL [number]."""
        return self.builtin("UIDL", argument)

    def do_RETR(self, argument: str) -> Answer:
        """RETR number."""
        return self.builtin("RETR", argument)

    def do_TOP(self, argument: str) -> Answer:
        """TOP number lines."""
        return self.builtin("TOP", argument)

    def do_DELE(self, argument: str) -> Answer:
        """DELE number."""
        return self.builtin("DELE", argument)

    def do_NOOP(self, argument: str) -> Answer:
        """NOOP."""
        return self.builtin("NOOP", argument)

    def do_RSET(self, argument: str) -> Answer:
        """RSET."""
        return self.builtin("RSET", argument)

    def do_QUIT(self, argument: str) -> Answer:
        """QUIT."""
        return self.builtin("QUIT", argument)

    def __init_subclass__(cls) -> None:
        """Refuse what would never be called, could not be, or would break the greeting.

        Raises:
            TypeError: names the method and what it should be.
            ValueError: names the text, and what is wrong with it.
        """
        super().__init_subclass__()
        for name in ("greeting", "goodbye"):
            _check_text(f"{cls.__name__}.{name}", getattr(cls, name) or "")
        for name, method in vars(cls).items():
            if not name.startswith("do_") or not callable(method):
                continue
            if name[3:] != name[3:].upper():
                near = difflib.get_close_matches(f"do_{name[3:].upper()}", dir(CommandServer), 1)
                hint = near[0] if near else f"do_{name[3:].upper()}"
                raise TypeError(f"{cls.__name__}.{name}: command methods are in capitals; did you mean {hint}?")
            keyword_of(name[3:])
            try:
                inspect.signature(method).bind("self", "argument")
            except TypeError:
                raise TypeError(f"{cls.__name__}.{name}: expected the parameters (self, argument: str)") from None


def _check_text(name: str, text: str) -> None:
    if not text.isprintable() or len(text.encode("utf-8", "replace")) > _LONGEST:
        raise ValueError(f"{name}: expected up to {_LONGEST} octets of printable text in one line")
    if "<" in text:
        raise ValueError(f"{name}: '<' would be taken for an APOP timestamp (RFC 1939 section 7)")


def _line(text: str) -> str:
    if "\n" in text:
        raise ValueError("a reply is one line: use self.data() for more")
    return text


def _octets(body: Body) -> bytes | AsyncIterator[bytes]:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogateescape")
    if isinstance(body, AsyncIterator):
        return body
    # What a client sent and a method sends back keeps its octets, whatever they are.
    lines = [line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line for line in body]
    return b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
