"""What was probably meant: near names and known aliases.

A far guess is worse than none, so only an edit distance of at most 2 counts (1 for words under five
letters), two neighbouring letters in the wrong order being one slip.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ALIASES", "distance", "nearest"]

ALIASES = {
    "tls_cert": "tls.certificate",
    "tls_key": "tls.key",
    "cert": "tls.certificate",
    "certfile": "tls.certificate",
    "keyfile": "tls.key",
    "private_key": "tls.key",
    "min_version": "tls.minimum_version",
    "ssl_cert": "tls.certificate",
    "ssl_cert_file": "tls.certificate",
    "ssl_server_cert_file": "tls.certificate",
    "ssl_key": "tls.key",
    "ssl_key_file": "tls.key",
    "ssl_server_key_file": "tls.key",
    "ssl_min_protocol": "tls.minimum_version",
    "ssl": "listener[].tls",
    "mail_location": "maildrop.path",
    "mail_path": "maildrop.path",
    "mail_driver": "maildrop.type",
    "mail_home": "maildrop.path",
    "passdb": "authentication.backend[].type",
    "userdb": "authentication.backend[].type",
    "auth_mechanisms": "authentication.mechanisms",
    "disable_plaintext_auth": "authentication.allow_cleartext",
    "auth_allow_cleartext": "authentication.allow_cleartext",
    "auth_username_format": "authentication.normalise",
    "auth_default_domain": "authentication.default_domain",
    "auth_default_realm": "authentication.default_domain",
    "auth_failure_delay": "authentication.failure_delay",
    "normalize": "authentication.normalise",
    "login_greeting": "server.greeting",
    "banner": "server.greeting",
    "welcome": "server.greeting",
    "base_dir": "server.state_directory",
    "listen": "listener[].address",
    "port": "listener[].address",
    "host": "listener[].address",
    "bind": "listener[].address",
    "inet_listener": "listener[].address",
    "haproxy": "listener[].proxy_protocol",
    "pop3_uidl_format": "maildrop.unique_id",
    "pop3_lock_session": "maildrop.lock",
    "pop3_delete_type": "maildrop.on_delete",
    "mail_max_userip_connections": "limits.connections_per_user",
    "client_limit": "limits.connections",
    "max_connections": "limits.connections",
    "timeout": "limits.autologout",
    "idle_timeout": "limits.autologout",
}
"""Names that other servers, or habit, give to a key of ours."""


def distance(left: str, right: str) -> int:
    """The least number of slips between two words: a letter more, less, other, or two neighbours swapped."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` is a slip of, or ``None`` if nothing is near enough."""
    best, least = None, 3
    for candidate in candidates:
        if abs(len(candidate) - len(word)) >= least:
            continue
        slips = distance(word, candidate)
        if slips < least and slips <= (1 if min(len(word), len(candidate)) < 5 else 2):
            best, least = candidate, slips
    return best
