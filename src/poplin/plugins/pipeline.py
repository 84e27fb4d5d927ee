"""The pipe between the protocol core and the session: every command, reply and event of a server passes here.

Its order may change while sessions run; a session sees the change at its next command. Whatever a plugin or handler
does, the client gets exactly one well-formed answer to each command.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias, TypeVar, cast

from poplin.identity import ClientFacts, MaybeAwaitable, settle
from poplin.maildrops.base import Ending
from poplin.plugins.base import Continue, Deliver, Plugin, Swallow
from poplin.plugins.events import (
    CommandReceived,
    Connected,
    Disconnected,
    Event,
    PluginAdded,
    PluginFailed,
    PluginRemoved,
    ReplySent,
)
from poplin.plugins.order import Order
from poplin.protocol.commands import Command
from poplin.protocol.replies import After, Continuation, Err, MultiLine, Ok, Reply
from poplin.protocol.texts import say

__all__ = ["EventHandler", "Pipeline"]

logger: logging.Logger = logging.getLogger("poplin.plugins")

E = TypeVar("E", bound=Event)
EventHandler: TypeAlias = Callable[[E], MaybeAwaitable[object]]
"""A function of one event, plain or ``async``; its result is ignored."""


class VerdictError(TypeError):
    """A hook answered what it may not answer."""


class Pipeline(Order):
    """Plugins in order, and the handlers of events. With neither, `active` is false and nobody asks it anything.

    `announce` is given what happened where nobody can wait: a plugin was added or removed, or failed.
    """

    __slots__ = ("_handlers", "active", "announce")

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        super().__init__()
        self._handlers: tuple[tuple[type[Event], EventHandler[Event]], ...] = ()
        self.active: bool = False
        self.announce: Callable[[Event], None] = _into_the_void
        for plugin in plugins:
            self.push(plugin)

    # Who is here

    def added(self, name: str, plugin: Plugin) -> None:
        """Tell the plugin, and the others."""
        self.active = True
        self._tell(plugin, "on_add", plugin.on_add)
        self.announce(PluginAdded(name))

    def removed(self, name: str, plugin: Plugin) -> None:
        """Tell the plugin, and the others."""
        self.active = bool(self.plugins or self._handlers)
        self._tell(plugin, "on_remove", plugin.on_remove)
        self.announce(PluginRemoved(name))

    def _tell(self, plugin: Plugin, hook: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - a plugin's failure is its own: reported, skipped
            self._failed(plugin, hook, error)

    def register(self, handler: EventHandler[E], *kinds: type[E]) -> None:
        """Have `handler` called with every event of these kinds (and their subclasses); with none, of all.

        Raises:
            TypeError: it cannot be called with an event, or something is no kind of event.
        """
        _check_handler(handler, kinds)
        for kind in kinds or (Event,):
            # It is called with events of that kind alone.
            row = (kind, cast("EventHandler[Event]", handler))
            if row not in self._handlers:
                self._handlers += (row,)
        self.active = True

    def unregister(self, handler: EventHandler[E], *kinds: type[E]) -> None:
        """No more of these kinds for `handler`; with none, no more at all. Not registered is no error."""
        self._handlers = tuple(
            (kind, known) for kind, known in self._handlers if known != handler or (kinds and kind not in kinds)
        )
        self.active = bool(self.plugins or self._handlers)

    # What passes

    async def connect(self, client: ClientFacts) -> None:
        """A connection begins."""
        for plugin in self.plugins:
            try:
                await settle(plugin.on_connect(client))
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(plugin, "on_connect", error)
        await self.event(Connected(client))

    async def disconnect(self, client: ClientFacts, ending: Ending) -> None:
        """A connection ended."""
        for plugin in reversed(self.plugins):
            try:
                await settle(plugin.on_disconnect(client, ending))
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(plugin, "on_disconnect", error)
        await self.event(Disconnected(client, ending))

    async def command(self, client: ClientFacts, command: Command) -> Command | Reply:
        """What the session shall do: carry out a command, or send a reply that a plugin gave."""
        swallowed = False
        for plugin in self.plugins:
            try:
                verdict = await settle(plugin.on_command(client, command))
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(plugin, "on_command", error)
                continue
            if isinstance(verdict, Ok | Err | MultiLine | Continuation):
                if not (isinstance(verdict, Ok | Err) and verdict.after is After.START_TLS):
                    return verdict
                verdict = None  # the handshake is the session's: it forgets what was said in clear
            last = isinstance(verdict, Deliver)
            if isinstance(verdict, Continue | Deliver):
                verdict = verdict.value
            if isinstance(verdict, Command) and isinstance(getattr(verdict, "verb", None), str):
                command = verdict
            elif isinstance(verdict, Swallow):
                swallowed = True
                logger.warning("%s swallowed %s without an answer", self.name_of(plugin), command.verb)
                last = not verdict.others
            else:
                self._failed(plugin, "on_command", VerdictError(f"returned {type(verdict).__name__}"))
            if last:
                break
        if swallowed:
            return Err(say("swallowed"))
        await self.event(CommandReceived(client, command))
        return command

    async def reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
        """The reply as the plugins leave it."""
        for plugin in reversed(self.plugins):
            try:
                verdict = await settle(plugin.on_reply(client, command, reply))
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(plugin, "on_reply", error)
                continue
            last = isinstance(verdict, Deliver)
            if isinstance(verdict, Continue | Deliver):
                verdict = verdict.value
            if isinstance(verdict, Swallow):
                last = not verdict.others
                verdict = _bare(reply)
            if type(verdict) is type(reply):
                reply = _reworded(reply, verdict)
            else:
                self._failed(plugin, "on_reply", VerdictError(f"made {type(verdict).__name__} of {_kind(reply)}"))
            if last:
                break
        await self.event(ReplySent(client, command, reply))
        return reply

    async def event(self, event: Event) -> None:
        """Something happened: tell the plugins, then the handlers, one after the other."""
        told = True
        for plugin in self.plugins:
            try:
                verdict: object = await settle(plugin.on_event(event))
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(plugin, "on_event", error, event)
                continue
            last = isinstance(verdict, Deliver)
            if isinstance(verdict, Continue | Deliver):
                verdict = verdict.value
            if isinstance(verdict, Event):
                event = verdict
            elif isinstance(verdict, Swallow):
                told = False
                last = not verdict.others
            elif verdict is not None:
                self._failed(plugin, "on_event", VerdictError(f"returned {type(verdict).__name__}"), event)
            if last:
                break
        if not told:
            return
        for kind, handler in self._handlers:
            if isinstance(event, kind):
                try:
                    await settle(handler(event))
                except Exception as error:  # noqa: BLE001 - as above
                    self._failed(handler, "handler", error, event)

    def _failed(
        self, who: Plugin | EventHandler[Event], hook: str, error: Exception, event: Event | None = None
    ) -> None:
        name = self.name_of(who) if isinstance(who, Plugin) else getattr(who, "__qualname__", repr(who))
        logger.error("%s failed in %s and was skipped", name, hook, exc_info=error)
        if not isinstance(event, PluginFailed):  # one that fails at hearing of failures is not told of that too
            self.announce(PluginFailed(name, hook, error))


def _into_the_void(event: Event) -> None:
    """No server runs yet: nobody can be told."""


def _check_handler(handler: Callable[..., object], kinds: tuple[type[object], ...]) -> None:
    """Refuse what would fail at each event.

    Raises:
        TypeError: it cannot be called with an event, or something is no kind of event.
    """
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Event)):
            raise TypeError(f"expected kinds of events (poplin.plugins.events), found {kind!r}")
    name = getattr(handler, "__qualname__", repr(handler))
    if not callable(handler):
        raise TypeError(f"expected a function of (event), found {name}")
    try:
        inspect.signature(handler).bind("event")
    except ValueError:
        return  # written in C without a signature: the first event will tell
    except TypeError:
        raise TypeError(f"{name} is called with (event); it takes {inspect.signature(handler)}") from None


def _kind(reply: Reply) -> str:
    return type(reply).__name__


def _bare(reply: Reply) -> Reply:
    """The reply without its text: RFC 1939 wants an answer to every command."""
    if isinstance(reply, Ok | Err):
        return replace(reply, text="")
    if isinstance(reply, MultiLine):
        return replace(reply, ok=replace(reply.ok, text=""))
    return reply


def _reworded(old: Reply, new: Reply) -> Reply:
    """`old` with the text and code of `new`: what follows the reply is not a plugin's business."""
    if isinstance(old, MultiLine) and isinstance(new, MultiLine):
        return replace(old, ok=replace(old.ok, text=new.ok.text, code=new.ok.code))
    if isinstance(old, Ok | Err) and isinstance(new, Ok | Err):
        return replace(old, text=new.text, code=new.code)
    return old
