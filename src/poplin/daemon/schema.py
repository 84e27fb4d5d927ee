"""Every key a configuration may hold, once: the checker, ``config explain``, ``config init`` and the
reference page are all made from this table.

Only what the keys are lives here; `check` compares, `rules` knows what may stand together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

from poplin.daemon import values
from poplin.daemon.values import Choice

__all__ = ["KEYS", "Key", "Node", "find", "tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the configuration.

    `path` is written with ``[]`` after a name that is a list of tables and ``NAME`` for a free name.
    `kinds` are the TOML types it takes. `choices` are the texts it may be, if those can be listed;
    `complain` says in words what else is wrong with a value, or nothing. `unbuilt` answers whether a value
    that is right in itself is not available in this version.
    """

    path: str
    text: str
    kinds: tuple[str, ...] = ("text",)
    default: object = None
    hint: str = ""
    example: str = ""
    choices: tuple[Choice, ...] = ()
    complain: Callable[[object], str | None] | None = None
    unbuilt: Callable[[object], str | None] | None = None
    required: bool = False
    since: str = "0.1"

    @property
    def name(self) -> str:
        """The last name of its path."""
        return self.path.rpartition(".")[2].removesuffix("[]")

    @property
    def is_built(self) -> bool:
        """Whether it may be set at all in this version."""
        return self.unbuilt is not _never

    @property
    def is_table(self) -> bool:
        """Whether it holds keys instead of a value."""
        return self.kinds[0] in {"table", "tables"}


def _never(value: object) -> str | None:
    del value
    return "leave it out"


def _only(allowed: object, advice: str) -> Callable[[object], str | None]:
    """Values other than `allowed` come with a later version."""

    def unbuilt(value: object) -> str | None:
        return None if value == allowed else advice

    return unbuilt


_MINIMUM = (Choice("1.2"), Choice("1.3"))

_TLS = (
    Key(path="certificate", text="The certificate file (PEM): the server's own, then those between it and the root."),
    Key(path="key", text="The file of its private key (PEM), readable by the server alone."),
)

_MAILDROP = (
    Key(
        path="type",
        text="Where messages are: a Maildir, memory (empty at each start), or a class of your own.",
        default="maildir",
        choices=values.MAILDROP_TYPES,
    ),
    Key(
        path="path",
        text="The folder of a user's maildrop; {user} {local} {domain} {home} are replaced.",
        complain=values.template_complaint,
        example='"var/mail/{user}/Maildir"',
    ),
    Key(
        path="on_delete",
        text="What becomes of a message that a client deletes.",
        default="destroy",
        choices=values.DELETE_POLICIES,
    ),
    Key(
        path="lock",
        text="When another session has the maildrop: refuse the newcomer, or give each session its own view.",
        kinds=("text", "table"),
        default="refuse",
        choices=values.LOCK_POLICIES,
    ),
    Key(path="lock.policy", text="The policy, as in the short form.", default="refuse", choices=values.LOCK_WORDS),
    Key(path="lock.wait", text='Seconds to wait for the other session ("wait").', kinds=("number",), unbuilt=_never),
    Key(path="lock.idle", text='Idle seconds after which a session is taken over ("take-over").', kinds=("number",),
        unbuilt=_never),
    Key(
        path="unique_id",
        text="How unique-ids are made; a format of the old server keeps clients from fetching everything again.",
        default="auto",
        choices=values.UNIQUE_IDS,
    ),
)  # fmt: skip


def _under(prefix: str, keys: tuple[Key, ...], **changes: bool) -> Iterator[Key]:
    for key in keys:
        yield replace(key, path=f"{prefix}.{key.path}", **changes)  # type: ignore[arg-type]  # flags only


def _limits() -> Iterator[Key]:
    """One key for each field of `poplin.limits.Limits`: its default there is the default here."""
    for name, default, kind, text in values.limit_facts():
        yield Key(
            path=f"limits.{name}",
            text=text,
            kinds=(kind,),
            default=default,
            complain=values.limit_complaint(name),
        )


KEYS: tuple[Key, ...] = (
    Key(
        path="version",
        text="The version of this configuration format.",
        kinds=("whole number",),
        default=1,
        complain=values.version_complaint,
    ),
    Key(path="server", text="The process and its name.", kinds=("table",)),
    Key(
        path="server.hostname",
        text="The name in the greeting and in the APOP timestamp; default: the machine's own.",
        example='"pop.example.org"',
        complain=values.hostname_complaint,
    ),
    Key(
        path="server.greeting",
        text="The words of the greeting.",
        default="poplin ready",
        complain=values.reply_complaint,
    ),
    Key(path="server.goodbye", text="The words that answer QUIT.", default="goodbye", complain=values.reply_complaint),
    Key(
        path="server.workers",
        text="How many processes serve.",
        kinds=("whole number",),
        default=1,
        hint="0 = one per core",
        complain=values.worker_complaint,
        unbuilt=_only(1, "set workers = 1"),
    ),
    Key(path="server.control", text="The socket for `poplin who`, `poplin status` and the like.", unbuilt=_never),
    Key(
        path="server.state_directory",
        text="Where the daemon keeps what it has to remember; today: the full text of a crash.",
        default="var",
    ),
    Key(path="server.user", text="The system user to become once the ports are open.", unbuilt=_never),
    Key(path="server.group", text="The system group to become.", unbuilt=_never),
    Key(path="server.chroot", text="The folder to lock the server into.", unbuilt=_never),
    Key(path="listener[]", text="One address to answer at.", kinds=("tables",)),
    Key(
        path="listener[].address",
        text="Where to listen: ADDRESS:PORT, [IPv6]:PORT or unix:PATH; port 0 takes any free one.",
        complain=values.address_complaint,
        unbuilt=values.address_unbuilt,
        required=True,
        example='"127.0.0.1:1110"',
    ),
    Key(
        path="listener[].tls",
        text="No TLS, TLS on request (STLS, RFC 2595), or TLS from the first octet (POP3S, RFC 8314).",
        default="none",
        choices=(Choice("none"), Choice("starttls"), Choice("implicit")),
    ),
    Key(
        path="listener[].tls_profile",
        text="Which TLS settings: the [tls] table, or a [tls_profile.NAME] of its own.",
        default="default",
        unbuilt=_only("default", 'only "default", the [tls] table'),
    ),
    Key(
        path="listener[].proxy_protocol",
        text="Believe the PROXY header of these networks (a list), or of nobody (false).",
        kinds=("false", "list of texts"),
        default=False,
        unbuilt=_only(False, "set proxy_protocol = false"),
    ),
    Key(path="tls", text="Certificate and TLS settings of every listener that names no other.", kinds=("table",)),
    *_under("tls", _TLS),
    Key(
        path="tls.minimum_version",
        text="The oldest TLS version to speak.",
        default="1.2",
        choices=_MINIMUM,
        hint="older only in a [tls_profile.NAME] of its own",
    ),
    Key(
        path="tls.sni[]", text="Another certificate for a name that clients ask for.", kinds=("tables",), unbuilt=_never
    ),
    Key(path="tls.sni[].name", text="The name.", required=True),
    *_under("tls.sni[]", _TLS, required=True),
    Key(path="tls_profile", text="TLS settings by name.", kinds=("table",)),
    Key(path="tls_profile.NAME", text="Other TLS settings, for some listeners.", kinds=("table",), unbuilt=_never),
    *_under("tls_profile.NAME", _TLS),
    Key(
        path="tls_profile.NAME.minimum_version",
        text="The oldest TLS version to speak; old devices need old ones.",
        default="1.2",
        choices=(Choice("1.0"), Choice("1.1"), *_MINIMUM),
    ),
    Key(path="authentication", text="Who may come in, and how.", kinds=("table",)),
    Key(
        path="authentication.mechanisms",
        text="The mechanisms to offer; default: what every record of the user base can serve.",
        kinds=("list of texts",),
        choices=values.MECHANISMS,
        example='["USER", "PLAIN", "LOGIN"]',
    ),
    Key(
        path="authentication.allow_cleartext",
        text="Where a password may travel without TLS.",
        default="loopback",
        choices=(Choice("never"), Choice("loopback"), Choice("always")),
    ),
    Key(
        path="authentication.failure_delay",
        text="Seconds before a refused login is answered, doubled with each further one of the connection, at most 15.",
        kinds=("number",),
        default=2,
        hint="0 = none",
        complain=values.not_negative,
    ),
    Key(
        path="authentication.normalise",
        text='Whether "Bob" and "bob" are one user.',
        default="lowercase",
        choices=(Choice("lowercase"), Choice("none")),
    ),
    Key(
        path="authentication.default_domain",
        text="The domain of a user who gives none: alice becomes alice@DOMAIN.",
        default="",
        complain=values.domain_complaint,
        example='"example.org"',
    ),
    Key(path="authentication.backend[]", text="One user base; they are asked in order.", kinds=("tables",)),
    Key(
        path="authentication.backend[].type",
        text="What kind of user base: a password file, or a function of your own.",
        required=True,
        choices=values.BACKEND_TYPES,
        example='"password-file"',
    ),
    Key(
        path="authentication.backend[].path",
        text="The password file: Dovecot passwd-file or htpasswd lines.",
        example='"users"',
    ),
    Key(path="maildrop", text="Where the messages are, and what may be done to them.", kinds=("table",)),
    *_under("maildrop", _MAILDROP),
    Key(path="maildrop.rule[]", text="Other settings for some users; the first match counts.", kinds=("tables",)),
    Key(
        path="maildrop.rule[].match",
        text="Which users: a pattern with * and ? over the whole name.",
        required=True,
        example='"*@example.org"',
    ),
    *_under("maildrop.rule[]", _MAILDROP),
    Key(path="limits", text="The bounds of the server.", kinds=("table",)),
    *_limits(),
    Key(
        path="limits.login_delay",
        text="Seconds between two logins of a user (RFC 2449 section 6.5).",
        kinds=("number",),
        default=0,
        unbuilt=_only(0, "set login_delay = 0"),
    ),
)


@dataclass(slots=True)
class Node:
    """One name in the tree of keys: the key itself if it may be set, and the names below it."""

    key: Key | None = None
    children: dict[str, Node] = field(default_factory=dict)

    def child(self, name: str) -> Node | None:
        """The node of `name`; a free name has the node of all free names."""
        return self.children.get(name) or self.children.get("NAME")


@cache
def tree() -> Node:
    """The table of keys as a tree of names."""
    root = Node()
    for key in KEYS:
        node = root
        for part in key.path.split("."):
            node = node.children.setdefault(part.removesuffix("[]"), Node())
        node.key = key
    return root


def find(path: str) -> Key | None:
    """The key that `path` names, as written in the schema or with indices (``listener[2].tls``)."""
    node: Node | None = tree()
    for part in path.split("."):
        node = node.child(part.partition("[")[0]) if node else None
    return node.key if node else None
