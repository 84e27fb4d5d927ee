"""What a conversation is about: users with their messages, and whatever may go wrong with them.

One `World` is opener and authenticator at once, written for tests against the two contracts alone. It keeps count of
what the engine did to it: openings, endings, removals. Nothing here knows of octets on a wire.
"""

import hashlib
import types
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from conversations.script import octets
from poplin.authentication.base import PASSWORD_MECHANISMS, ApopProof, Authenticator, Credentials, PasswordProof
from poplin.command_server import CommandServer
from poplin.content import Content, examine, wire_octets
from poplin.errors import (
    AuthenticationFailed,
    InUse,
    LeaseLost,
    MessageGone,
    MessageUnreadable,
    PermanentFailure,
    Refused,
    TemporaryFailure,
)
from poplin.identity import ClientFacts, Identity, MaybeAwaitable
from poplin.limits import Limits
from poplin.maildrops.base import Ending, Entry, Maildrop, Opener, OpenRequest, Removal, Scan
from poplin.plugins.pipeline import Pipeline
from poplin.session.attendants import Attends
from poplin.session.service import Policy, Service

__all__ = ["Box", "World", "arrange", "happen", "sized", "verify"]

T = TypeVar("T")

ERRORS: dict[str, Callable[[], Exception]] = {
    "temporary": lambda: TemporaryFailure("secret detail for the log"),
    "permanent": lambda: PermanentFailure("secret detail for the log"),
    "refused": lambda: Refused("secret detail for the log"),
    "in-use": lambda: InUse(754, "192.0.2.9"),
    "in-use-bare": InUse,
    "gone": lambda: MessageGone("secret detail for the log"),
    "unreadable": lambda: MessageUnreadable("secret detail for the log"),
    "lease-lost": lambda: LeaseLost("secret detail for the log"),
    "crash": lambda: RuntimeError("secret detail for the log"),
}


@dataclass
class Box:
    """One user's messages by unique-id, what shall fail with them, and what was done to them."""

    password: str
    messages: dict[str, bytes] = field(default_factory=dict)
    lies: dict[str, int] = field(default_factory=dict)
    stuck: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)
    held: bool = False
    openings: int = 0
    endings: list[Ending] = field(default_factory=list)
    removals: list[list[str]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def fail(self, where: str) -> None:
        """Raise what was arranged for `where`."""
        if where in self.faults:
            error = ERRORS[self.faults[where]]()
            raise error


@types.coroutine
def _turn() -> Generator[None, None, None]:
    """What `asyncio.sleep(0)` does, without asyncio: suspend once."""
    yield


async def _later(function: Callable[[], T]) -> T:
    await _turn()
    return function()


@dataclass
class World:
    """Opener and authenticator. With `later` every answer has to be waited for; `pieces` streams bodies in pieces of
    so many octets."""

    boxes: dict[str, Box] = field(default_factory=dict)
    offered: AbstractSet[str] = PASSWORD_MECHANISMS
    later: bool = False
    pieces: int = 0
    measured: bool = True
    asked: list[Credentials] = field(default_factory=list)

    def answer(self, function: Callable[[], T]) -> MaybeAwaitable[T]:
        """What `function` gives, now or later."""
        return _later(function) if self.later else function()

    def mechanisms(self) -> AbstractSet[str]:
        return self.offered

    def authenticate(self, credentials: Credentials, client: ClientFacts, /) -> MaybeAwaitable[Identity]:
        return self.answer(lambda: self._judge(credentials))

    def _judge(self, credentials: Credentials) -> Identity:
        self.asked.append(credentials)
        box = self.boxes.get(credentials.user)
        if box is not None:
            box.fail("authenticate")
        if box is None or credentials.authorization not in {"", credentials.user}:
            raise AuthenticationFailed(credentials.user)
        proof = credentials.proof
        if isinstance(proof, PasswordProof):
            right = proof.password == box.password
        else:
            right = isinstance(proof, ApopProof) and proof.digest == digest(proof.timestamp, box.password)
        if not right:
            raise AuthenticationFailed(credentials.user)
        return Identity(credentials.user)

    def open(self, request: OpenRequest, /) -> MaybeAwaitable[Maildrop]:
        return self.answer(lambda: self._open(request))

    def _open(self, request: OpenRequest) -> Maildrop:
        box = self.boxes[request.identity.user]
        box.fail("open")
        if box.held:
            raise InUse(3, "192.0.2.1")
        box.held = True
        box.openings += 1
        return OpenBox(self, box) if self.measured else MeasuringBox(self, box)


class OpenBox:
    """One session's hold on a box."""

    def __init__(self, world: World, box: Box) -> None:
        self.world = world
        self.box = box

    def scan(self) -> MaybeAwaitable[Scan]:
        return self.world.answer(self._scan)

    def _scan(self) -> Scan:
        self.box.fail("scan")
        messages = self.box.messages
        sizes = [self.box.lies.get(uid, wire_octets(body)) for uid, body in messages.items()]
        return Scan(list(messages), sizes if self.world.measured else None)

    def retrieve(self, entry: Entry, /) -> MaybeAwaitable[Content]:
        return self.world.answer(lambda: self._retrieve(entry))

    def _retrieve(self, entry: Entry) -> Content:
        uid = entry.unique_id
        self.box.fail(f"retrieve {uid}")
        body = self.box.messages.get(uid)
        if body is None:
            raise MessageGone("secret detail for the log")
        size, form = examine(body)
        if self.world.pieces:
            return Content(_in_pieces(body, self.world.pieces), form, size)
        return Content(body, form, size)

    def remove(self, entries: Sequence[Entry], /) -> MaybeAwaitable[Removal]:
        return self.world.answer(lambda: self._remove(entries))

    def _remove(self, entries: Sequence[Entry]) -> Removal:
        assert self.box.held, "a removal after the maildrop was closed"
        uids = [entry.unique_id for entry in entries]
        self.box.removals.append(uids)
        self.box.fail("remove")
        failed = 0
        for uid in uids:
            if uid in self.box.stuck:
                failed += 1
            else:
                self.box.messages.pop(uid, None)
        return Removal(len(uids) - failed, failed, "secret detail for the log" if failed else "")

    def mark_read(self, entries: Sequence[Entry], /) -> MaybeAwaitable[None]:
        return self.world.answer(lambda: self.box.read.extend(entry.unique_id for entry in entries))

    def close(self, ending: Ending, /) -> MaybeAwaitable[None]:
        return self.world.answer(lambda: self._close(ending))

    def _close(self, ending: Ending) -> None:
        assert self.box.held, "closed twice"
        self.box.held = False
        self.box.endings.append(ending)
        self.box.fail("close")


class MeasuringBox(OpenBox):
    """A box whose sizes are asked for when they are needed."""

    def measure(self, entries: Sequence[Entry], /) -> MaybeAwaitable[Sequence[int]]:
        self.box.fail("measure")
        sizes = [wire_octets(self.box.messages.get(entry.unique_id, b"")) for entry in entries]
        return self.world.answer(lambda: sizes)


async def _in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


def digest(timestamp: str, secret: str) -> str:
    """The digest of APOP (RFC 1939 section 7), made here from the standard's words."""
    return hashlib.md5((timestamp + secret).encode()).hexdigest()


def sized(wanted: int) -> bytes:
    """A message of exactly so many octets, in lines that end in CRLF."""
    head = b"Subject: sized\r\n\r\n"
    body = bytearray()
    left = wanted - len(head)
    while left:
        line = min(left, 72)
        if 0 < left - line < 3:
            line -= 3
        body += b"x" * (line - 2) + b"\r\n"
        left -= line
    return head + bytes(body)


class Served(Opener, Authenticator, Protocol):
    """One object that is both."""


@dataclass
class Setting:
    """Everything a conversation is held in: the world, and the rules of the service."""

    world: World = field(default_factory=World)
    policy: dict[str, str | float] = field(default_factory=lambda: {"failure_delay": 0})
    limits: dict[str, float] = field(default_factory=dict)
    timestamp: str = ""
    tls: str = "none"
    levels: tuple[str, ...] = ("session", "core", "server")
    whole: bool = False
    pipeline: Pipeline = field(default_factory=Pipeline)
    commands: type[CommandServer] | None = None
    served: Served | None = None
    """What is served in the world's stead."""

    @property
    def source(self) -> "Served | World":
        """Opener and authenticator."""
        return self.served or self.world

    def service(self) -> Service:
        """The service of these facts, with no server around it."""
        return Service(
            maildrops=self.source,
            authenticator=self.source,
            policy=self.make_policy(),
            limits=self.make_limits(),
            pipeline=self.pipeline,
            methods=self.commands,
            timestamp=lambda host: self.timestamp or f"<1.2@{host}>",
            enter=lambda user: None,
            leave=lambda user: None,
            attendants=(self.source,) if isinstance(self.source, Attends) else (),
        )

    def make_policy(self) -> Policy:
        """The policy."""
        chosen = {} if self.served is None else {"mechanisms": self.world.offered}
        return Policy(**self.policy, **chosen)  # type: ignore[arg-type]  # the file's author writes what each field takes

    def make_limits(self) -> Limits:
        """The limits."""
        return Limits(**self.limits)  # type: ignore[arg-type]  # as above


def arrange(facts: Sequence[str]) -> Setting:
    """The setting that the ``@`` lines of a file describe.

    Raises:
        ValueError: a fact of no known form.
    """
    setting = Setting()
    for fact in facts:
        _arrange(setting, fact)
    return setting


def _arrange(setting: Setting, fact: str) -> None:
    key, _, rest = fact.partition(" ")
    words = rest.split()
    match key:
        case "user":
            name, _, password = rest.partition(" ")
            setting.world.boxes[name] = Box(octets(password).decode(errors="surrogateescape"))
        case "message" | "sized" | "lie" | "fault" | "stuck":
            happen(setting.world, fact)
        case "policy":
            name, _, text = rest.partition(" ")
            setting.policy[name] = float(text) if name == "failure_delay" else text
        case "limit":
            setting.limits[words[0]] = int(words[1])
        case "mechanisms":
            setting.world.offered = frozenset(words)
        case "timestamp":
            setting.timestamp = rest
            setting.levels = ("session", "core")
        case "tls":
            setting.tls = rest
        case "levels":
            setting.levels = tuple(words)
        case "pieces":
            setting.world.pieces = int(rest)
            setting.levels = tuple(level for level in setting.levels if level != "session")
        case "whole":  # the octets of a flight stay together: no splitting
            setting.whole = True
        case "unmeasured":
            setting.world.measured = False
        case _:
            raise ValueError(f"@ {fact}: no such fact")


def happen(world: World, event: str) -> None:
    """Let happen what a ``!`` line says: a message comes or goes, a call begins to fail.

    Raises:
        ValueError: an event of no known form.
    """
    key, user, *rest = event.split(" ", 3)
    box = world.boxes[user]
    match key, rest:
        case "message", [uid, text]:
            box.messages[uid] = octets(text)
        case "sized", [uid, size]:
            box.messages[uid] = sized(int(size))
        case "lie", [uid, size]:
            box.lies[uid] = int(size)
        case "vanish", [uid]:
            del box.messages[uid]
        case "stuck", [uid]:
            box.stuck.add(uid)
        case "fault", [what, where]:
            box.faults[where] = what
        case "heal", []:
            box.faults.clear()
        case _:
            raise ValueError(f"! {event}: no such event")


def verify(world: World, outcome: Sequence[str]) -> None:
    """What holds after every session, and what a file says of this one.

    A maildrop that was opened was closed, once; nothing is held; ``= left USER uid …`` is what USER has now,
    ``= ended USER ending …`` how the sessions ended, ``= read USER uid …`` what was marked as read.
    """
    for name, box in world.boxes.items():
        assert not box.held, f"the maildrop of {name} is still held"
        assert box.openings == len(box.endings), f"the maildrop of {name} was not closed once for each opening"
        assert len(box.removals) <= box.openings, f"two removals in one session of {name}"
    for line in outcome:
        key, user, *words = line.split()
        box = world.boxes[user]
        match key:
            case "left":
                assert list(box.messages) == words
            case "ended":
                assert [ending.value for ending in box.endings] == words
            case "read":
                assert box.read == words
            case _:
                raise ValueError(f"= {line}: no such outcome")
