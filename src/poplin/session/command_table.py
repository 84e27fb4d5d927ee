"""Which commands a class of command methods has, in which state, and what CAPA says of them.

The table alone: what a command does is in ``command_server``, what its answer means in `own_commands`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from poplin.identity import MaybeAwaitable
from poplin.protocol.capabilities import Capability
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.replies import Reply
from poplin.protocol.states import State
from poplin.session.authorization import Authorization
from poplin.session.transaction import Transaction

__all__ = ["CommandTable", "Method", "Row", "keyword_of"]

Row: TypeAlias = tuple[State, str]
"""A command in a state."""

Method: TypeAlias = Callable[[str], MaybeAwaitable[Reply]]
"""What carries a command out, given the rest of its line."""

_STANDARD = {
    State.AUTHORIZATION: frozenset(verb for verb in Authorization.table if verb.isalpha()),
    State.TRANSACTION: frozenset(verb for verb in Transaction.table if verb.isalpha()),
}
_PLACED = frozenset().union(*_STANDARD.values()) & {verb.decode() for verb in GRAMMAR}
"""The standard commands that have a state of their own."""


class CommandTable:
    """The commands of a class, and of one session.

    A standard command works in its own state. Any other ``do_NAME`` works before and after login, unless
    `add_command` chose a state for it.
    """

    _methods: Mapping[Row, str | None] = MappingProxyType({})
    _announced: Mapping[Row, Capability] = MappingProxyType({})
    _granted: Mapping[Row, Method | None] = MappingProxyType({})

    @classmethod
    def add_command(
        cls,
        state: State,
        name: str,
        method: Callable[..., MaybeAwaitable[Reply]] | None = None,
        *,
        capability: str = "",
    ) -> None:
        """Allow the command `name` in `state`, by ``do_NAME`` or by `method(self, argument)`, for all sessions of the
        class; a command of your own is then not allowed in the other state, unless it is added there too. With
        `capability` CAPA has that line in this state. For one session alone: `grant`.

        Raises:
            ValueError: the name is no keyword (RFC 2449 section 4: 3 or 4 letters for the standard ones; ours may be
                up to 32 letters, digits, ``-`` and ``_``); or no command is taken in that state.
            TypeError: there is no method for it, or it takes other parameters.
        """
        verb = _checked(state, name)
        attribute = f"do_{verb}"
        if method is not None:
            _check_parameters(verb, method, "self", "argument")
            attribute = f"_do_{verb}_in_{state.value}"
            setattr(cls, attribute, method)
        elif not callable(getattr(cls, attribute, None)):
            raise TypeError(f"{cls.__name__} has no method {attribute}; give one to add_command")
        rows = dict(cls._methods)
        if verb not in _PLACED:
            for other in _STANDARD:
                rows.setdefault((other, verb), None)
        rows[state, verb] = attribute
        cls._methods = rows
        if capability:
            cls._announced = {**cls._announced, (state, verb): _capability(capability)}

    @classmethod
    def remove_command(cls, state: State, name: str) -> None:
        """Allow the command `name` in `state` no more, nor announce it; it is then unknown there, or not allowed."""
        verb = _checked(state, name)
        cls._methods = {**cls._methods, (state, verb): None}
        cls._announced = {row: line for row, line in cls._announced.items() if row != (state, verb)}

    def grant(
        self,
        state: State,
        name: str,
        method: Method | None = None,
        *,
        capability: str = "",
    ) -> None:
        """`add_command` for this session alone: by ``do_NAME`` or by `method(argument)`.

        Raises:
            ValueError: as `add_command`.
            TypeError: as `add_command`.
        """
        verb = _checked(state, name)
        found = method or getattr(self, f"do_{verb}", None)
        if found is None:
            raise TypeError(f"{type(self).__name__} has no method do_{verb}; give one to grant")
        _check_parameters(verb, found, "argument")
        self._granted = {**self._granted, (state, verb): found}
        if capability:
            self._announced = {**self._announced, (state, verb): _capability(capability)}

    def revoke(self, state: State, name: str) -> None:
        """`remove_command` for this session alone."""
        verb = _checked(state, name)
        self._granted = {**self._granted, (state, verb): None}
        self._announced = {row: line for row, line in self._announced.items() if row != (state, verb)}

    # What the session asks for

    def method_for(self, state: State, verb: str, /) -> Method | None:
        """The method that carries out `verb` in `state`; ``None``: it is not allowed there."""
        if (state, verb) in self._granted:
            return self._granted[state, verb]
        attribute = self._methods.get((state, verb), "")
        if attribute is None:
            return None
        if not attribute:
            if verb in _PLACED and verb not in _STANDARD.get(state, ()):
                return None
            attribute = f"do_{verb}"
        method: Method | None = getattr(self, attribute, None)
        return method if callable(method) else None

    def capabilities(self, state: State, /) -> tuple[Capability, ...]:
        """The lines that `add_command` and `grant` promised for `state`."""
        return tuple(capability for (where, _), capability in self._announced.items() if where is state)


def keyword_of(name: str) -> str:
    """A command's keyword in capitals.

    Raises:
        ValueError: it is none.
    """
    if not (1 <= len(name) <= 32 and name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
        raise ValueError(f"{name!r} is no keyword: expected up to 32 letters, digits, - and _")
    return name.upper()


def _checked(state: State, name: str) -> str:
    if state not in _STANDARD:
        raise ValueError(f"no command is taken in {state.value}: give State.AUTHORIZATION or State.TRANSACTION")
    return keyword_of(name)


def _check_parameters(verb: str, method: Callable[..., object], *parameters: str) -> None:
    """Refuse a method that could never be called.

    Raises:
        TypeError: it is none, or takes other parameters.
    """
    if callable(method):
        try:
            inspect.signature(method).bind(*parameters)
        except TypeError:
            pass
        else:
            return
    raise TypeError(f"{verb}: expected a function of ({', '.join(parameters)}), found {method!r}")


def _capability(line: str) -> Capability:
    """A line of CAPA as a value.

    Raises:
        ValueError: it is no line that RFC 2449 section 3 knows.
    """
    if not line.isascii() or not line.isprintable() or not line.split() or len(line) > 500:
        raise ValueError(f"{line!r} is no capability: expected one line of printable ASCII (RFC 2449 section 3)")
    tag, *arguments = line.split()
    return Capability(tag, tuple(arguments))
