"""The command-class face: subclass `CommandServer`, one method a command, as in ``http.server``.

An instance is one session; the class is what a server serves. What a subclass does not override is done by
poplin's own stages, if there are maildrops and an authenticator for them to work with.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import ClassVar, TypeAlias

from poplin.content import Content
from poplin.identity import ClientFacts, MaybeAwaitable
from poplin.maildrops.base import Ending
from poplin.protocol.capabilities import Capability
from poplin.protocol.parsing import GRAMMAR, parse_command
from poplin.protocol.replies import After, Err, MultiLine, Ok, Reply, Status
from poplin.protocol.states import State
from poplin.protocol.texts import say
from poplin.session.authorization import Authorization
from poplin.session.methods import MethodSession
from poplin.session.transaction import Transaction

__all__ = ["Answer", "Body", "CommandServer"]

Answer: TypeAlias = MaybeAwaitable[Reply]
"""What a command method returns, plain or ``async``."""

Body: TypeAlias = "bytes | str | Iterable[str | bytes] | AsyncIterator[bytes]"
"""A multi-line body: octets or text as a whole, the lines of it (with or without their ends), or pieces of octets
that come when they are ready."""

_AUTHORIZATION = frozenset(Authorization.table)
_TRANSACTION = frozenset(Transaction.table)
_STANDARD = {
    State.AUTHORIZATION: {verb for verb in _AUTHORIZATION if verb.isalpha()},
    State.TRANSACTION: {verb for verb in _TRANSACTION if verb.isalpha()},
}


class CommandServer:
    """A POP3 server with a method for each command.

    ``do_STAT(self, argument)`` carries out STAT; `argument` is the rest of the command line. It returns
    ``self.ok(text)``, ``self.err(text)`` or ``self.data(text, body)``, plain or ``async``. A command of your own
    needs nothing but a method (it works before and after login), or `add_command` for a choice of states and a
    line in CAPA. A positive answer to PASS, APOP or AUTH logs in; QUIT after that commits.

    An instance is one session: what you keep on it is the session's own. Hooks: `connect`, `commit`, `disconnect`.
    """

    _added: ClassVar[dict[tuple[State, str], str | None]] = {}
    _announced: ClassVar[dict[tuple[State, str], Capability]] = {}

    greeting: ClassVar[str | None] = ""
    """The greeting's text; ``""`` takes the server's, ``None`` sends none."""

    def __init__(self, session: MethodSession, /) -> None:
        self._session = session
        self._closing = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._session!r}>"

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
        return Ok(_line(text), code, self._after())

    def err(self, text: str = "", code: str = "") -> Err:
        """``-ERR [code] text``."""
        return Err(_line(text), code, self._after())

    def data(self, text: str, body: Body) -> MultiLine:
        """``+OK text`` and a multi-line body; line ends, dots and the terminator are put right for you."""
        return MultiLine(self.ok(text), Content(_octets(body)))

    def close(self) -> None:
        """Close the connection behind the answer that the running method makes from here on."""
        self._closing = True

    async def builtin(self, verb: str, argument: str) -> Reply:
        """Have poplin's own stage carry out a command: what every method does that is not overridden."""
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

    # Commands

    @classmethod
    def add_command(
        cls,
        state: State,
        name: str,
        method: Callable[..., MaybeAwaitable[Reply]] | None = None,
        *,
        capability: str = "",
    ) -> None:
        """Allow the command `name` in `state`, by ``do_NAME`` or by `method(self, argument)`. With `capability` CAPA
        has that line in this state.

        Raises:
            ValueError: the name is no keyword (RFC 2449 section 4: 3 or 4 letters for the standard ones; ours may be
                up to 32 letters, digits, ``-`` and ``_``).
            TypeError: there is no method for it.
        """
        verb = _keyword(name)
        attribute = f"do_{verb}"
        if method is not None:
            attribute = f"_added_{state.value}_{verb}"
            setattr(cls, attribute, method)
        elif not callable(getattr(cls, attribute, None)):
            raise TypeError(f"{cls.__name__} has no method {attribute}; give one to add_command")
        cls._added = {**cls._added, (state, verb): attribute}
        if capability:
            tag, *arguments = capability.split()
            cls._announced = {**cls._announced, (state, verb): Capability(tag, tuple(arguments))}

    @classmethod
    def remove_command(cls, state: State, name: str) -> None:
        """Allow the command `name` in `state` no more; it is then unknown there, or not allowed."""
        verb = _keyword(name)
        cls._added = {**cls._added, (state, verb): None}
        cls._announced = {key: value for key, value in cls._announced.items() if key != (state, verb)}

    def method_for(self, state: State, verb: str, /) -> Callable[[str], Answer] | None:
        """The method that carries out `verb` in `state`; ``None``: it is not allowed there."""
        added = self._added.get((state, verb), "")
        if added is None:
            return None
        if not added:
            standard = verb.encode("ascii", "replace") in GRAMMAR
            if standard and verb not in _STANDARD.get(state, ()):
                return None
            added = f"do_{verb}"
        method: Callable[[str], Answer] | None = getattr(self, added, None) if verb.isascii() else None
        return method

    def capabilities(self, state: State, /) -> tuple[Capability, ...]:
        """The lines that `add_command` promised for `state`."""
        return tuple(capability for (where, _), capability in self._announced.items() if where is state)

    def greet(self, text: str, /) -> str | None:
        """The greeting, the timestamp included."""
        if self.greeting is None:
            return None
        return f"{_line(self.greeting)} {self.timestamp}".rstrip() if self.greeting else text

    @classmethod
    def mechanisms(cls) -> AbstractSet[str]:
        """The ways to log in that the class's own methods serve."""
        names = {"USER": "do_PASS", "APOP": "do_APOP"}
        return {name for name, method in names.items() if getattr(cls, method) is not getattr(CommandServer, method)}

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

    def _after(self) -> After:
        return After.CLOSE if self._closing else After.GO_ON

    def __init_subclass__(cls) -> None:
        """Refuse methods that would never be called, or could not be.

        Raises:
            TypeError: names the method and what it should be.
        """
        super().__init_subclass__()
        for name, method in vars(cls).items():
            if not name.startswith("do_") or not callable(method):
                continue
            if name[3:] != name[3:].upper():
                near = difflib.get_close_matches(f"do_{name[3:].upper()}", dir(CommandServer), 1)
                hint = near[0] if near else f"do_{name[3:].upper()}"
                raise TypeError(f"{cls.__name__}.{name}: command methods are in capitals; did you mean {hint}?")
            _keyword(name[3:])
            try:
                inspect.signature(method).bind("self", "argument")
            except TypeError:
                raise TypeError(f"{cls.__name__}.{name}: expected the parameters (self, argument: str)") from None


def _keyword(name: str) -> str:
    verb = name.upper()
    if not (1 <= len(verb) <= 32 and verb.isascii() and verb.replace("-", "").replace("_", "").isalnum()):
        raise ValueError(f"{name!r} is no keyword: expected up to 32 letters, digits, - and _")
    return verb


def _line(text: str) -> str:
    if "\r" in text or "\n" in text:
        raise ValueError("a reply is one line: use self.data() for more")
    return text


def _octets(body: Body) -> bytes | AsyncIterator[bytes]:
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, AsyncIterator):
        return body
    lines = [line.encode() if isinstance(line, str) else line for line in body]
    return b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
