"""A checked configuration as frozen values: what the rest of the daemon works with.

Defaults come from the schema alone; paths are absolute here, or relative to the folder of the file.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, TypeAlias

from poplin.daemon import schema
from poplin.daemon.check import Document
from poplin.limits import Limits
from poplin.maildrops.base import LockPolicy

__all__ = [
    "BackendSettings",
    "Configuration",
    "ListenerSettings",
    "MaildropRule",
    "MaildropSettings",
    "TlsSettings",
    "build",
]

TlsMode: TypeAlias = Literal["none", "starttls", "implicit"]


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One address to answer at, ``unix:`` paths already whole."""

    address: str
    tls: TlsMode = "none"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """The certificate, its key, and the oldest version to speak (``"1.2"`` or ``"1.3"``)."""

    certificate: Path
    key: Path
    minimum_version: str


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """One user base; `shown` is its path as the file has it."""

    type: str
    path: Path
    shown: str


@dataclass(frozen=True, slots=True)
class MaildropSettings:
    """Where messages are and what may be done to them. `path` keeps its fields in braces."""

    type: str
    path: str
    shown: str
    on_delete: str
    lock: LockPolicy
    unique_id: str


@dataclass(frozen=True, slots=True)
class MaildropRule:
    """Other settings for the users whose whole name fits `match` (``*`` and ``?``)."""

    match: str
    maildrop: MaildropSettings

    def fits(self, user: str) -> bool:
        """Whether it is meant for `user`."""
        return fnmatchcase(user, self.match)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The whole file."""

    file: str
    folder: Path
    hostname: str
    greeting: str
    goodbye: str
    state_directory: Path
    listeners: tuple[ListenerSettings, ...]
    tls: TlsSettings | None
    mechanisms: frozenset[str] | None
    allow_cleartext: Literal["never", "loopback", "always"]
    failure_delay: float
    normalise: Literal["lowercase", "none"]
    default_domain: str
    backends: tuple[BackendSettings, ...]
    maildrop: MaildropSettings
    rules: tuple[MaildropRule, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def maildrop_of(self, user: str) -> MaildropSettings:
        """The settings for `user`: those of the first rule that fits, or the common ones."""
        return next((rule.maildrop for rule in self.rules if rule.fits(user)), self.maildrop)


def _or_default(table: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401  # TOML values of a checked type
    """The value that the file gives, or the schema's default."""
    key = schema.find(path)
    return table.get(path.rpartition(".")[2], key.default if key else None)


def _listener(table: Mapping[str, Any], folder: Path) -> ListenerSettings:
    address = table["address"]
    if address.startswith("unix:"):
        address = f"unix:{folder / address[5:]}"
    return ListenerSettings(address, _or_default(table, "listener.tls"))


def _lock(value: str | Mapping[str, Any]) -> LockPolicy:
    if isinstance(value, str):
        return LockPolicy(value)
    return LockPolicy(_or_default(value, "maildrop.lock.policy"))


def _maildrop(table: Mapping[str, Any], folder: Path) -> MaildropSettings:
    kind, path = _or_default(table, "maildrop.type"), table.get("path", "")
    return MaildropSettings(
        type=kind,
        path=path if not path or path.startswith("{home}") else os.path.join(folder, path),
        shown=path,
        on_delete=_or_default(table, "maildrop.on_delete"),
        lock=_lock(_or_default(table, "maildrop.lock")),
        unique_id=_or_default(table, "maildrop.unique_id"),
    )


def _rule(table: Mapping[str, Any], common: Mapping[str, Any], folder: Path) -> MaildropRule:
    """A rule has the common settings but for its own; another type does not inherit the path."""
    if table.get("type", common.get("type")) != common.get("type"):
        common = {name: value for name, value in common.items() if name != "path"}
    return MaildropRule(table["match"], _maildrop({**common, **table}, folder))


def build(document: Document, folder: Path) -> Configuration:
    """The values of a document without errors; relative paths are relative to `folder`."""
    clean = document.clean
    server, authentication = clean.get("server", {}), clean.get("authentication", {})
    maildrop, tls = clean.get("maildrop", {}), clean.get("tls", {})
    limits = {name: value for name, value in clean.get("limits", {}).items() if name in Limits.__dataclass_fields__}
    return Configuration(
        file=document.file,
        folder=folder,
        hostname=server.get("hostname") or socket.gethostname(),
        greeting=_or_default(server, "server.greeting"),
        goodbye=_or_default(server, "server.goodbye"),
        state_directory=folder / _or_default(server, "server.state_directory"),
        listeners=tuple(_listener(table, folder) for table in clean.get("listener", [])),
        tls=TlsSettings(
            folder / tls["certificate"], folder / tls["key"], _or_default(tls, "tls.minimum_version")
        ) if "certificate" in tls else None,
        mechanisms=frozenset(authentication["mechanisms"]) if "mechanisms" in authentication else None,
        allow_cleartext=_or_default(authentication, "authentication.allow_cleartext"),
        failure_delay=_or_default(authentication, "authentication.failure_delay"),
        normalise=_or_default(authentication, "authentication.normalise"),
        default_domain=_or_default(authentication, "authentication.default_domain"),
        backends=tuple(
            BackendSettings(table["type"], folder / table.get("path", ""), table.get("path", ""))
            for table in authentication.get("backend", [])
        ),
        maildrop=_maildrop(maildrop, folder),
        rules=tuple(_rule(table, maildrop, folder) for table in maildrop.get("rule", [])),
        limits=Limits(**limits),
    )  # fmt: skip
