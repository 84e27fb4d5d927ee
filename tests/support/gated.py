"""A real source of messages whose every step can be held up by the test, and an authenticator like it.

It is an opener like any other: exclusive, with snapshots. It writes down what was asked of it, in order.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from poplin.authentication.base import Credentials, PasswordProof
from poplin.content import Content
from poplin.errors import AuthenticationFailed, MessageGone
from poplin.identity import ClientFacts, Identity
from poplin.maildrops.base import Ending, Entry, OpenRequest, Removal, Scan
from poplin.maildrops.locking import Holder, Registry
from support.wire import PATIENCE


class Gate:
    """Where a callback waits until the test opens; the test sees who has come and who was cancelled."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.cancelled = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: asyncio.Event | None = None

    async def wait(self) -> None:
        """The callback's end."""
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self.reached.set()
        try:
            await self._opened.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def await_arrival(self) -> None:
        """The test's end: until somebody waits here."""
        assert self.reached.wait(PATIENCE), "nobody came to the gate"

    def await_cancel(self) -> None:
        """The test's end: until who waited here was cancelled."""
        assert self.cancelled.wait(PATIENCE), "who waits at the gate was not cancelled"

    def open(self) -> None:
        """Let who waits here go on."""
        assert self._loop is not None
        assert self._opened is not None
        self._loop.call_soon_threadsafe(self._opened.set)


class GatedMaildrops:
    """An opener. `gates` names the steps that wait: "open", "scan", "retrieve", "remove", "close"."""

    def __init__(self, messages: Sequence[bytes] = (b"Subject: one\r\n\r\none\r\n",), /, **gates: Gate) -> None:
        self.messages = {f"id{number}": message for number, message in enumerate(messages, 1)}
        self.gates = gates
        self.events: list[str] = []
        self.endings: list[Ending] = []
        self.on_lost: Callable[[str], None] | None = None
        self.before: Callable[[str], None] = _nothing
        self._registry = Registry()

    async def pass_gate(self, step: str) -> None:
        self.events.append(step)
        self.before(step)
        if step in self.gates:
            await self.gates[step].wait()

    async def open(self, request: OpenRequest, /) -> GatedMaildrop:
        await self.pass_gate("open")
        self.on_lost = request.on_lost
        user = request.identity.user
        return GatedMaildrop(self, user, self._registry.acquire(user, request.client.session_id))

    def release(self, user: str, holder: Holder) -> None:
        self._registry.release(user, holder)

    def held(self, user: str = "ann") -> bool:
        """Whether a session has the user's maildrop."""
        return self._registry.holder(user) is not None


def _nothing(step: str) -> None:
    """Nothing is to be done before a step."""


class GatedMaildrop:
    """One session's maildrop."""

    def __init__(self, owner: GatedMaildrops, user: str, holder: Holder) -> None:
        self._owner = owner
        self._user = user
        self._holder = holder

    async def scan(self) -> Scan:
        await self._owner.pass_gate("scan")
        return Scan(list(self._owner.messages), [len(message) for message in self._owner.messages.values()])

    async def retrieve(self, entry: Entry, /) -> Content:
        await self._owner.pass_gate("retrieve")
        if entry.unique_id not in self._owner.messages:
            raise MessageGone(entry.unique_id)
        message = self._owner.messages[entry.unique_id]
        return Content(message, octets=len(message))

    async def remove(self, entries: Sequence[Entry], /) -> Removal:
        await self._owner.pass_gate("remove")
        for entry in entries:
            self._owner.messages.pop(entry.unique_id, None)
        self._owner.events.append("removed")
        return Removal(len(entries))

    async def close(self, ending: Ending, /) -> None:
        try:
            await self._owner.pass_gate("close")
        finally:
            self._owner.endings.append(ending)
            self._owner.release(self._user, self._holder)
            self._owner.events.append("closed")


class Streaming:
    """An opener whose maildrops hold messages that `contents` make anew for each RETR; sizes are not known."""

    def __init__(self, *contents: Callable[[], Content]) -> None:
        self._contents = contents
        self.endings: list[Ending] = []

    def open(self, request: OpenRequest, /) -> Streaming:
        return self

    def scan(self) -> Scan:
        return Scan([f"id{number}" for number in range(len(self._contents))], [1] * len(self._contents))

    def retrieve(self, entry: Entry, /) -> Content:
        return self._contents[int(entry.unique_id[2:])]()

    def remove(self, entries: Sequence[Entry], /) -> Removal:
        return Removal(0, len(entries), "these are for reading")

    def close(self, ending: Ending, /) -> None:
        self.endings.append(ending)


@dataclass
class GatedDoor:
    """An authenticator with one password for all; waits at `gate` where there is one."""

    gate: Gate | None = None
    password: str = field(default="secret", repr=False)

    async def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> Identity:
        if self.gate is not None:
            await self.gate.wait()
        if not isinstance(credentials.proof, PasswordProof) or credentials.proof.password != self.password:
            raise AuthenticationFailed
        return Identity(credentials.user)
