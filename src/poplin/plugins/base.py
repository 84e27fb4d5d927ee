"""What a plugin may do on the pipe, and the pipe itself.

Commands fall through the plugins in order, replies rise through them in the opposite order. A plugin sees
values, never octets: it may change a command or answer it, change a reply's text and code, or swallow either.
It may not turn ``+OK`` into ``-ERR`` or back and cannot touch a body (a maildrop wrapper does that, and counts
octets). A plugin that raises is logged and skipped: it hurts nobody but itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from poplin.identity import ClientFacts, MaybeAwaitable, settle
from poplin.maildrops.base import Ending
from poplin.protocol.commands import Command
from poplin.protocol.replies import Continuation, Err, MultiLine, Ok, Reply
from poplin.protocol.texts import say

__all__ = ["CommandVerdict", "Continue", "Deliver", "Pipeline", "Plugin", "ReplyVerdict", "Swallow"]

logger = logging.getLogger("poplin.plugins")

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
    """Nothing goes further: a command is not carried out, a reply's text is dropped. With `others` the remaining
    plugins still see it. A command swallowed without an answer is answered ``-ERR`` and logged."""

    others: bool = True


CommandVerdict: TypeAlias = "Command | Reply | Continue[Command] | Deliver[Command] | Swallow"
ReplyVerdict: TypeAlias = "Reply | Continue[Reply] | Deliver[Reply] | Swallow"


class Plugin:
    """Base of all plugins: override what you need; everything here passes on what it got."""

    def on_connect(self, client: ClientFacts) -> MaybeAwaitable[None]:
        """A connection begins, before the greeting."""

    def on_command(self, client: ClientFacts, command: Command) -> MaybeAwaitable[CommandVerdict]:
        """A command on its way to the session: return it, another one, a reply to answer it, or a verdict."""
        return command

    def on_reply(self, client: ClientFacts, command: Command, reply: Reply) -> MaybeAwaitable[ReplyVerdict]:
        """The reply to `command` on its way to the client: return it, or one with another text or code."""
        return reply

    def on_disconnect(self, client: ClientFacts, ending: Ending) -> MaybeAwaitable[None]:
        """The connection ended; told once, on every ending."""


class Pipeline:
    """Plugins in order. An empty pipeline is falsy, and the session asks nothing of it."""

    __slots__ = ("_plugins",)

    def __init__(self, plugins: Iterable[Plugin] = ()) -> None:
        self._plugins = tuple(plugins)

    def __len__(self) -> int:
        return len(self._plugins)

    async def connect(self, client: ClientFacts) -> None:
        """Tell every plugin of a connection."""
        for plugin in self._plugins:
            try:
                await settle(plugin.on_connect(client))
            except Exception:  # noqa: BLE001 - a plugin's failure is its own: reported, skipped
                _report(plugin, "on_connect")

    async def disconnect(self, client: ClientFacts, ending: Ending) -> None:
        """Tell every plugin of an ending."""
        for plugin in reversed(self._plugins):
            try:
                await settle(plugin.on_disconnect(client, ending))
            except Exception:  # noqa: BLE001 - a plugin's failure is its own: reported, skipped
                _report(plugin, "on_disconnect")

    async def command(self, client: ClientFacts, command: Command) -> Command | Reply:
        """What the session shall do: carry out a command, or send a reply that a plugin gave."""
        swallowed = False
        for plugin in self._plugins:
            try:
                verdict = await settle(plugin.on_command(client, command))
            except Exception:  # noqa: BLE001 - a plugin's failure is its own: reported, skipped
                _report(plugin, "on_command")
                continue
            if isinstance(verdict, Command):
                command = verdict
            elif isinstance(verdict, Ok | Err | MultiLine | Continuation):
                return verdict
            elif isinstance(verdict, Continue):
                command = verdict.value
            elif isinstance(verdict, Deliver):
                command = verdict.value
                break
            elif isinstance(verdict, Swallow):
                swallowed = True
                logger.warning("%s swallowed %s without an answer", type(plugin).__name__, command.verb)
                if not verdict.others:
                    break
            else:
                _reject(plugin, "on_command", verdict)
        return Err(say("swallowed")) if swallowed else command

    async def reply(self, client: ClientFacts, command: Command, reply: Reply) -> Reply:
        """The reply as the plugins leave it."""
        for plugin in reversed(self._plugins):
            try:
                verdict = await settle(plugin.on_reply(client, command, reply))
            except Exception:  # noqa: BLE001 - a plugin's failure is its own: reported, skipped
                _report(plugin, "on_reply")
                continue
            last = False
            if isinstance(verdict, Continue | Deliver):
                last = isinstance(verdict, Deliver)
                verdict = verdict.value
            elif isinstance(verdict, Swallow):
                last = not verdict.others
                verdict = _bare(reply)
            if not isinstance(verdict, Ok | Err | MultiLine | Continuation) or not _same_nature(reply, verdict):
                _reject(plugin, "on_reply", verdict)
            else:
                reply = _reworded(reply, verdict)
            if last:
                break
        return reply


def _bare(reply: Reply) -> Reply:
    """The reply without its text: RFC 1939 wants an answer to every command."""
    if isinstance(reply, Ok | Err):
        return replace(reply, text="")
    if isinstance(reply, MultiLine):
        return replace(reply, ok=replace(reply.ok, text=""))
    return reply


def _same_nature(old: Reply, new: Reply) -> bool:
    return type(old) is type(new)


def _reworded(old: Reply, new: Reply) -> Reply:
    """`old` with the text and code of `new`: what follows the reply is not a plugin's business."""
    if isinstance(old, MultiLine) and isinstance(new, MultiLine):
        return replace(old, ok=replace(old.ok, text=new.ok.text, code=new.ok.code))
    if isinstance(old, Ok | Err) and isinstance(new, Ok | Err):
        return replace(old, text=new.text, code=new.code)
    return old


def _report(plugin: Plugin, hook: str) -> None:
    logger.exception("plugin %s failed in %s and was skipped", type(plugin).__name__, hook)  # noqa: LOG004 - called from handlers alone


def _reject(plugin: Plugin, hook: str, verdict: object) -> None:
    logger.error(
        "plugin %s: %s returned %s, which is not allowed there; it was ignored",
        type(plugin).__name__,
        hook,
        type(verdict).__name__,
    )
