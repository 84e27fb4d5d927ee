"""What may stand together: combinations of keys that are right by themselves."""

import pytest

from poplin.daemon import rules
from poplin.daemon.check import Document, read
from poplin.daemon.problems import in_order, show

START = '[[authentication.backend]]\ntype = "password-file"\npath = "users"\n'
MAILDROP = '[maildrop]\npath = "mail/{user}"\n'
CERTIFICATE = '[tls]\ncertificate = "c"\nkey = "k"\n'


def applied(text: str) -> Document:
    document = read("p", text.encode())
    rules.apply(document)
    return document


def told(text: str) -> list[str]:
    return [show("p", problem)[0].removeprefix("p:") for problem in in_order(applied(text).problems)]


def test_the_least_that_works() -> None:
    assert told(START + MAILDROP) == []
    assert told(START + '[maildrop]\ntype = "memory"\n') == []


def test_an_empty_file_lacks_users_and_maildrops() -> None:
    backend, maildrop = told("")
    assert backend.startswith("1: authentication.backend: missing; nobody could log in")
    assert (
        maildrop == '1: maildrop.path: missing; a Maildir needs its path, for example path = "var/mail/{user}/Maildir"'
    )


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_tls_needs_a_certificate(tls: str) -> None:
    listener = f'[[listener]]\naddress = "[::1]:0"\ntls = "{tls}"\n'
    assert told(listener + START + MAILDROP) == [
        f'3: listener[1].tls: "{tls}" needs a certificate; set tls.certificate and tls.key, or tls = "none" here'
    ]
    assert told(listener + CERTIFICATE + START + MAILDROP) == []


def test_a_certificate_needs_its_key_and_a_key_its_certificate() -> None:
    assert told('[tls]\ncertificate = "c"\n' + START + MAILDROP) == ["1: tls.key: missing; a certificate needs its key"]
    assert told('[tls]\nkey = "k"\n' + START + MAILDROP) == ["1: tls.certificate: missing; a key needs its certificate"]


def test_a_wrong_value_is_not_told_of_as_missing_too() -> None:
    assert [line.partition(": ")[2] for line in told("[tls]\ncertificate = 3\nkey = 4\n" + START + MAILDROP)] == [
        "tls.certificate: expected a text, found the whole number 3",
        "tls.key: expected a text, found the whole number 4",
    ]


def test_one_address_twice() -> None:
    same = '[[listener]]\naddress = "127.0.0.1:1110"\n'
    assert told(same + same + START + MAILDROP) == [
        '4: listener[2].address: "127.0.0.1:1110" is the address of listener[1] too'
    ]
    free = '[[listener]]\naddress = "127.0.0.1:0"\n'
    assert told(free + free + START + MAILDROP) == []


def test_a_password_file_needs_a_path_and_a_function_has_none() -> None:
    assert told('[[authentication.backend]]\ntype = "password-file"\n' + MAILDROP) == [
        '1: authentication.backend[1].path: missing; a password file needs its path, for example path = "users"'
    ]
    assert told('[[authentication.backend]]\ntype = "python:a.b"\npath = "x"\n' + MAILDROP) == [
        '3: authentication.backend[1].path: "python:a.b" takes no path; leave it out'
    ]


def test_maildrops_in_memory_have_no_path() -> None:
    assert told(START + '[maildrop]\ntype = "memory"\npath = "mail/{user}"\n') == [
        "6: maildrop.path: a maildrop in memory has no path; leave it out"
    ]


def test_a_rule_of_another_kind_needs_what_that_kind_needs() -> None:
    rule = '[[maildrop.rule]]\nmatch = "a*"\ntype = "maildir"\n'
    assert told(START + '[maildrop]\ntype = "memory"\n' + rule) == [
        '6: maildrop.rule[1].path: missing; a Maildir needs its path, for example path = "var/mail/{user}/Maildir"'
    ]
    assert told(START + MAILDROP + '[[maildrop.rule]]\nmatch = "a*"\nlock = "snapshot"\n') == []


def test_a_rule_that_changes_nothing_is_a_mistake() -> None:
    assert told(START + MAILDROP + '[[maildrop.rule]]\nmatch = "a*"\n') == [
        "6: maildrop.rule[1]: changes nothing; set path, lock or the like beside match"
    ]


def test_autologout_and_its_permission() -> None:
    limits = "[limits]\nautologout = 300\n"
    assert told(limits + START + MAILDROP) == [
        "2: limits.autologout: 300 is below the 600 s of RFC 1939; set 600 or more, or allow_short_autologout = true"
    ]
    assert told(limits + "allow_short_autologout = true\n" + START + MAILDROP) == []


@pytest.mark.parametrize(
    ("address", "tls", "allowed", "warned"),
    [
        ("127.0.0.1:0", "none", "loopback", ""),
        ("unix:s", "none", "loopback", ""),
        ("192.0.2.1:0", "none", "loopback", "no password is taken here"),
        ("127.0.0.1:0", "none", "never", "no password is taken here"),
        ("192.0.2.1:0", "starttls", "loopback", ""),
        ("192.0.2.1:0", "starttls", "always", "may be overheard"),
        ("192.0.2.1:0", "none", "always", "may be overheard"),
        ("192.0.2.1:0", "implicit", "always", ""),
        ("[::1]:0", "none", "always", ""),
    ],
)
def test_warnings_about_passwords_in_clear(address: str, tls: str, allowed: str, warned: str) -> None:
    listener = f'[[listener]]\naddress = "{address}"\ntls = "{tls}"\n'
    document = applied(f'[authentication]\nallow_cleartext = "{allowed}"\n{listener}{CERTIFICATE}{START}{MAILDROP}')
    assert not document.errors
    assert [warned in problem.text for problem in document.problems] == ([True] if warned else [])
