"""Find the configuration, read it, check it: a file becomes a `Configuration` or all that is wrong with it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from poplin.daemon import check, rules, settings
from poplin.daemon.check import Document
from poplin.daemon.settings import Configuration
from poplin.errors import ConfigurationError

__all__ = ["NotFound", "Source", "find", "load", "places", "read"]

SYSTEM_FILE = "/etc/poplin/poplin.toml"


class NotFound(ConfigurationError):
    """There is no configuration at any of the usual places."""


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration file: its `path`, and its name as told to the operator; ``-`` is standard input."""

    path: Path
    shown: str


def places(explicit: str | None, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Where a configuration is looked for, in order; one that was named is the only one."""
    named = explicit or environment.get("POPLIN_CONFIG")
    return [named] if named else ["./poplin.toml", SYSTEM_FILE]


def find(explicit: str | None, environment: Mapping[str, str] = os.environ) -> Source:
    """The first configuration that exists.

    Raises:
        NotFound: none does; the text says where it was looked for and how to write one.
    """
    names = places(explicit, environment)
    for name in names:
        if name == "-":
            return Source(Path.cwd() / "standard input", "standard input")
        if Path(name).exists():
            return Source(Path(name).absolute(), name)
    raise NotFound(f"no configuration found (looked for {', '.join(names)}); write one with: poplin init")


def read(source: Source) -> Document:
    """The checked document, schema and rules both applied; its problems are not raised.

    Raises:
        Invalid: it is no TOML.
        ConfigurationError: the file cannot be read.
    """
    try:
        octets = sys.stdin.buffer.read() if source.shown == "standard input" else source.path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"cannot read {source.shown}: {reason}") from error
    document = check.read(source.shown, octets)
    rules.apply(document)
    return document


def load(source: Source) -> Configuration:
    """The configuration in force.

    Raises:
        Invalid: with every error of the file.
        ConfigurationError: the file cannot be read.
    """
    document = read(source)
    if document.errors:
        raise document.invalid()
    return settings.build(document, source.path.parent)
