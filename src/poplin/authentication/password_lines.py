"""The lines of a password file: Dovecot's passwd-file and htpasswd's, read into a table. No file is opened.

Dovecot's has ``user:password:uid:gid:gecos:home:shell:extra fields``, htpasswd's ``user:hash``; both are
one form with more or fewer fields. Of each line only its beginning is looked at when the file is read, so
that 100,000 lines load in a fraction of a second; the rest is looked at when its user comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from poplin.authentication import crypt_hashes, schemes
from poplin.authentication.user_names import check_user_name

__all__ = ["Complaint", "Line", "Record", "Table", "examine", "parse_fields", "read_lines", "read_table"]

_FIELDS = ("uid", "gid", "gecos", "home", "shell")

# How a stored password begins, up to what sets its cost: {SCRAM-SHA-256}4096, $6$rounds=5000$, $2b$12$,
# $argon2id$v=19$m=65536,t=3,p=4$, $y$j9T$. Records that agree in it cost the same work.
_KIND = re.compile(
    r"(?:\{[^}:]{1,40}\})?"
    r"(?:\d+(?=,)|\$[a-z0-9-]+\$(?:rounds=\d+\$|v=\d+\$[a-z0-9=,]+\$|ln=[^$:]+\$|\d\d\$|j[./0-9A-Za-z]{2,6}\$)?)?"
)


class Complaint(NamedTuple):
    """What is wrong with a line, and its number; nothing of the line is quoted but a user's good name."""

    line: int
    text: str


class Line(NamedTuple):
    """A line that is a record: its number, the user's normalised `user` name, and what follows the first colon."""

    number: int
    user: str
    rest: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a line says of its user."""

    stored: schemes.StoredPassword
    attributes: dict[str, str]


@dataclass(slots=True)
class Table:
    """A password file in memory: `rests` by normalised name.

    `kinds` counts the records by the work that checking them takes, with a sample of each.
    """

    rests: dict[str, str] = field(default_factory=dict, repr=False)
    complaints: list[Complaint] = field(default_factory=list)
    kinds: dict[str, tuple[int, str]] = field(default_factory=dict, repr=False)
    readable: int = 0
    """So many records keep the secret itself."""
    records: dict[str, Record] = field(default_factory=dict, repr=False)
    """Records that were read whole, by name: a poller comes again and again."""
    broken: set[str] = field(default_factory=set)
    """Users whose record turned out to be broken at a login, and who are logged already."""

    def stand_in(self) -> schemes.StoredPassword | None:
        """The stored password to check for a user who does not exist: one of the commonest kind."""
        for _, written in sorted(self.kinds.values(), reverse=True):
            try:
                return schemes.parse(written)
            except ValueError:
                continue
        return None


def read_lines(text: str, rule: Callable[[str], str]) -> Iterator[Line | Complaint]:
    """Every record of a file, names normalised by `rule`, and a complaint for every line that is none."""
    # Not splitlines(): it also splits at characters that a name or a password may hold.
    for number, line in enumerate(text.split("\n"), 1):
        if not line or line[0] == "#" or line.isspace():
            continue
        name, colon, rest = line.removesuffix("\r").partition(":")
        if not colon:
            yield Complaint(number, "no colon: a record is user:password")
            continue
        user = rule(name)
        refusal = check_user_name(user)
        if refusal is not None:
            yield Complaint(number, refusal)
            continue
        yield Line(number, user, rest)


def read_table(text: str, rule: Callable[[str], str]) -> Table:
    """The table of a file's `text`. The first record of a name counts, as in Dovecot."""
    table = Table()
    known: dict[str, str | None] = {}
    kinds = table.kinds
    for line in read_lines(text, rule):
        if isinstance(line, Complaint):
            table.complaints.append(line)
            continue
        written = line.rest.partition(":")[0]
        found = _KIND.match(written)
        kind = found[0] if found else ""
        scheme = known.get(kind, "") or schemes.known_scheme(written)
        if scheme is None:
            table.complaints.append(Complaint(line.number, _unknown(line.user, written)))
        elif line.user in table.rests:
            table.complaints.append(Complaint(line.number, f"{line.user} is already above; this line is ignored"))
        else:
            if kind:
                known[kind] = scheme
            table.rests[line.user] = line.rest
            table.readable += scheme in schemes.READABLE
            kinds[kind] = (kinds[kind][0] + 1, kinds[kind][1]) if kind in kinds else (1, written)
    return table


def _unknown(user: str, written: str) -> str:
    try:
        schemes.parse(written)
    except ValueError as failure:
        return f"{user}: {failure}"
    return f"{user}: an unknown kind of password hash"


def parse_fields(rest: str) -> Record:
    """What the fields behind the name say.

    ``uid``, ``gid``, ``gecos``, ``home`` and ``shell`` become attributes where they are not empty, and so
    does every extra field, under its own name (``userdb_mail``, ``allow_nets`` …); one without ``=`` is
    ``"yes"``.

    Raises:
        ValueError: the stored password is broken, or a field asks for what is never granted; quotes nothing.
    """
    password, *fields = rest.split(":", 6)
    attributes = {name: value for name, value in zip(_FIELDS, fields, strict=False) if value}
    for extra in fields[5].split() if len(fields) > 5 else ():
        name, _, value = extra.partition("=")
        attributes[name] = value or "yes"
    if "nopassword" in attributes:
        raise ValueError("nopassword would let everybody in; POP3 has no use for it")
    return Record(schemes.parse(password), attributes)


def examine(line: Line) -> str | None:
    """Everything that can be wrong with a record, looked for without checking any password."""
    try:
        record = parse_fields(line.rest)
        if record.stored.data.startswith(b"$") and record.stored.is_costly:
            crypt_hashes.validate_hash(record.stored.data.decode("ascii", "replace"))
    except (ValueError, crypt_hashes.HashUnavailable) as failure:
        return f"{line.user}: {failure}"
    return None
