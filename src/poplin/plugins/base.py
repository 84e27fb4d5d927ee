"""What a plugin may be and may answer. The pipe it sits on is in `pipeline`.

Commands fall through the plugins in order, replies rise through them in the opposite order. A plugin sees
values, never octets: it may change a command or answer it, change a reply's text and code, or swallow either.
It may not turn ``+OK`` into ``-ERR`` or back and cannot touch a body (a maildrop wrapper does that, and counts
octets). A plugin that raises is logged and skipped: it hurts nobody but itself.
"""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from poplin.identity import ClientFacts, MaybeAwaitable
from poplin.maildrops.base import Ending
from poplin.plugins.events import Event
from poplin.protocol.commands import Command
from poplin.protocol.replies import Reply

__all__ = ["CommandVerdict", "Continue", "Deliver", "EventVerdict", "Plugin", "ReplyVerdict", "Swallow"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Continue(Generic[T]):
    """Go on with `value`; the same as returning it."""

    value: T


@dataclass(frozen=True, slots=True)
class Deliver(Generic[T]):
    """Go on with `value`, past the remaining plugins."""

    value: T


@dataclass(frozen=True, slots=True)
class Swallow:
    """Nothing goes further: a command is not carried out, a reply's text is dropped, an event's handlers are not
    told. With `others` the remaining plugins still see it. A command swallowed without an answer is answered
    ``-ERR`` and logged: a client waits for every answer."""

    others: bool = True


CommandVerdict: TypeAlias = "Command | Reply | Continue[Command] | Deliver[Command] | Swallow"
"""What `Plugin.on_command` may answer: a command to go on with, a reply in its place, or a verdict."""
ReplyVerdict: TypeAlias = "Reply | Continue[Reply] | Deliver[Reply] | Swallow"
"""What `Plugin.on_reply` may answer: a reply of the same kind, or a verdict."""
EventVerdict: TypeAlias = "Event | Continue[Event] | Deliver[Event] | Swallow | None"
"""What `Plugin.on_event` may answer: nothing, another event, or a verdict."""


class Plugin:
    """Base of all plugins: override what you need; everything here passes on what it got.

    A hook may be plain or ``async``, but for `on_add` and `on_remove`. A misspelt hook (``on_comand``), or one with
    the wrong number of parameters, is refused when the class is made.
    """

    def on_add(self) -> None:
        """The plugin joined a pipeline."""

    def on_remove(self) -> None:
        """The plugin left the pipeline; sessions may still be under way."""

    def on_connect(self, client: ClientFacts) -> MaybeAwaitable[None]:
        """A connection begins, before the greeting."""

    def on_command(self, client: ClientFacts, command: Command) -> MaybeAwaitable[CommandVerdict]:
        """A command on its way to the session: return it, another one, a reply to answer it, or a verdict."""
        return command

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> MaybeAwaitable[ReplyVerdict]:
        """The reply to `command` on its way to the client: return it, or one with another text or code."""
        return reply

    def on_event(self, event: Event) -> MaybeAwaitable[EventVerdict]:
        """Something happened (see `poplin.plugins.events`): return nothing, another event for those who are told
        after this plugin, or a verdict."""

    def on_disconnect(self, client: ClientFacts, ending: Ending) -> MaybeAwaitable[None]:
        """The connection ended; told once, on every ending."""

    def __init_subclass__(cls) -> None:
        """Refuse hooks that would never be called.

        Raises:
            TypeError: names the hook and what it should be.
        """
        super().__init_subclass__()
        for name, hook in vars(cls).items():
            if not name.startswith("on_") or not callable(hook):
                continue
            original = vars(Plugin).get(name)
            if original is None:
                hooks = [known for known in vars(Plugin) if known.startswith("on_")]
                near = difflib.get_close_matches(name, hooks, 1)
                hint = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(hooks)}"
                raise TypeError(f"{cls.__name__}.{name}: there is no such hook; {hint}")
            if name in {"on_add", "on_remove"} and inspect.iscoroutinefunction(hook):
                raise TypeError(f"{cls.__name__}.{name}: nobody can wait for this hook; make it a plain function")
            wanted = inspect.signature(original)
            try:
                inspect.signature(hook).bind(*wanted.parameters)
            except TypeError:
                raise TypeError(f"{cls.__name__}.{name}: expected the parameters {wanted}") from None
