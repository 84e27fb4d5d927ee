"""The checker: every mistake at once, in the order of the file, each with what was expected and what was meant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from poplin.daemon import schema, template
from poplin.daemon.check import Document, path_text, read
from poplin.daemon.problems import Invalid, count, in_order, show
from poplin.daemon.schema import KEYS, Key


def check(text: str) -> Document:
    return read("poplin.toml", text.encode())


def lines(text: str) -> list[str]:
    document = check(text)
    return [show("poplin.toml", problem)[0] for problem in in_order(document.problems)]


def test_a_right_file_has_no_problems_and_keeps_every_value() -> None:
    document = check(
        'version = 1\n[server]\nworkers = 1\n[[listener]]\naddress = "127.0.0.1:0"\n[limits]\nautologout = 900.5\n'
    )
    assert document.problems == []
    assert document.clean == {
        "version": 1,
        "server": {"workers": 1},
        "listener": [{"address": "127.0.0.1:0"}],
        "limits": {"autologout": 900.5},
    }


FIVE = """\
version = 1
[server]
workers = "two"
[limits]
bad_comands = 3
[tls]
minimum_version = "1.1"
[[listener]]
address = "127.0.0.1:1110"
[[listener]]
address = "127.0.0.1"
tsl = "none"
"""


def test_five_mistakes_are_told_in_the_order_of_the_file() -> None:
    assert lines(FIVE) == [
        'poplin.toml:3: server.workers: expected a whole number (0 = one per core), found the text "two"',
        'poplin.toml:5: limits.bad_comands: unknown key; did you mean "bad_commands"?',
        (
            'poplin.toml:7: tls.minimum_version: "1.1" is not allowed; use "1.2" or "1.3" '
            "(older only in a [tls_profile.NAME] of its own)"
        ),
        (
            'poplin.toml:11: listener[2].address: "127.0.0.1" has no port from 0 to 65535 at its end; '
            'write "127.0.0.1:1110", "[::1]:1110" or "unix:run/pop3.sock"'
        ),
        'poplin.toml:12: listener[2].tsl: unknown key; did you mean "tls"?',
    ]
    assert count(check(FIVE).problems) == "5 errors"


def test_what_is_wrong_is_left_out_and_places_in_lists_stay() -> None:
    document = check(FIVE)
    assert document.clean["listener"] == [{"address": "127.0.0.1:1110"}, {}]
    assert document.get("listener", 1, "address") is None
    assert document.get("server", "workers") is None
    assert document.is_set(("server", "workers"))


# Statement 8 of the manners: for every key, two neighbouring letters swapped.


def table_of(key: Key) -> list[str]:
    """Lines that open the table in which `key` stands, its required neighbours left out."""
    parent = key.path.rpartition(".")[0]
    if not parent:
        return []
    name = parent.replace("[]", "").replace("NAME", "legacy")
    holder = schema.find(parent)
    assert holder is not None
    if not holder.is_table:  # lock.policy stands in an inline table
        above = parent.rpartition(".")[0].replace("[]", "")
        return [f"[[{above}]]" if f"{above}[]" in parent else f"[{above}]"]
    return [f"[[{name}]]" if parent.endswith("[]") else f"[{name}]"]


def setting(key: Key, name: str) -> str:
    if key.is_table and key.path.endswith("[]"):
        return f"[[{table_name(key, name)}]]"
    if key.is_table:
        return f"[{table_name(key, name)}]"
    parent = schema.find(key.path.rpartition(".")[0]) if "." in key.path else None
    if parent and not parent.is_table:
        return f"{parent.name} = {{ {name} = 1 }}"
    return f"{name} = 1"


def table_name(key: Key, name: str) -> str:
    above = key.path.removesuffix("[]").rpartition(".")[0].replace("[]", "")
    return f"{above}.{name}" if above else name


def swapped(name: str) -> Iterator[str]:
    for at in range(len(name) - 1):
        if name[at] != name[at + 1]:
            yield name[:at] + name[at + 1] + name[at] + name[at + 2 :]


SLIPS = [(key, slip) for key in KEYS if key.name != "NAME" for slip in swapped(key.name)]


@pytest.mark.parametrize(("key", "slip"), SLIPS, ids=lambda value: value if isinstance(value, str) else value.path)
def test_a_key_with_two_letters_swapped_is_refused_and_the_right_one_named(key: Key, slip: str) -> None:
    opening = [] if key.is_table else table_of(key)
    text = "\n".join([*opening, setting(key, slip)]) + "\n"
    found = [problem for problem in check(text).problems if problem.text.startswith("unknown key")]
    assert [problem.path.rpartition(".")[2] for problem in found] == [slip], text
    assert found[0].place.line == len(opening) + 1
    if len(key.name) >= 5:
        assert found[0].text == f'unknown key; did you mean "{key.name}"?'


# Every key: its default, and a value of a wrong type.


def test_the_template_of_all_keys_is_right_and_so_is_every_default_in_it() -> None:
    plain = template.write({"version": 1})
    assert check(plain).problems == []
    active = plain.replace("\n# [", "\n[").replace("\n# ", "\n")
    active = active[active.index("version = 1") :]
    complaints = [problem.text for problem in check(active).problems if "not available" in problem.text]
    assert complaints == []


WRONG = {
    "text": "7",
    "whole number": '"x"',
    "number": '"x"',
    "true or false": '"x"',
    "false": "7",
    "list of texts": "7",
}
PLAIN_KEYS = [key for key in KEYS if not key.is_table and key.path.count(".") < 3 and "lock." not in key.path]


@pytest.mark.parametrize("key", PLAIN_KEYS, ids=lambda key: key.path)
def test_a_wrong_type_names_the_expected_and_the_found_one(key: Key) -> None:
    wrong = WRONG[key.kinds[0]]
    text = "\n".join([*table_of(key), f"{key.name} = {wrong}"]) + "\n"
    told = [problem.text for problem in check(text).problems if problem.text.startswith("expected")]
    assert len(told) == 1
    assert told[0].endswith('found the text "x"' if wrong == '"x"' else "found the whole number 7")


@pytest.mark.parametrize(
    ("value", "found"),
    [("true", "true"), ("1.5", "the number 1.5"), ("[1]", "a list"), ("{a = 1}", "a table"),
     ("1979-05-27", "a date or time"), ('"' + "x" * 60 + '"', f'the text "{"x" * 39}…"')],
)  # fmt: skip
def test_whatever_is_found_is_called_by_its_name(value: str, found: str) -> None:
    assert lines(f"[server]\nworkers = {value}\n")[0].endswith(f"found {found}")


def test_a_true_is_no_number_and_a_one_no_truth() -> None:
    assert lines("[limits]\nconnections = true\nallow_short_autologout = 1\n") == [
        "poplin.toml:2: limits.connections: expected a whole number, found true",
        "poplin.toml:3: limits.allow_short_autologout: expected true or false, found the whole number 1",
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_limit_is_a_finite_number(value: str) -> None:
    assert "expected a number, found the number" in lines(f"[limits]\nlogin_timeout = {value}\n")[0]


# What is not built yet is refused, never ignored.

NOT_YET = [
    ("[server]\nworkers = 2\n", "server.workers: 2 is not available in this version; set workers = 1"),
    ("[server]\nworkers = 0\n", "server.workers: 0 is not available in this version; set workers = 1"),
    ('[server]\ncontrol = "c"\n', "server.control: not available in this version; leave it out"),
    ('[server]\nuser = "poplin"\n', "server.user: not available in this version; leave it out"),
    ('[[listener]]\naddress = "systemd"\n', ('listener[1].address: "systemd" is not available in this version; '
     "give an address or unix:PATH")),
    ('[[listener]]\naddress = "[::1]:0"\nproxy_protocol = ["10.0.0.0/8"]\n',
     "listener[1].proxy_protocol: not available in this version; set proxy_protocol = false"),
    ('[[listener]]\naddress = "[::1]:0"\ntls_profile = "legacy"\n',
     'listener[1].tls_profile: "legacy" is not available in this version; only "default", the [tls] table'),
    ('[[tls.sni]]\nname = "a"\ncertificate = "c"\nkey = "k"\n',
     "tls.sni: not available in this version; leave it out"),
    ('[tls_profile.old]\nminimum_version = "1.0"\n',
     "tls_profile.old: not available in this version; leave it out"),
    ('[authentication]\nmechanisms = ["SCRAM-SHA-256"]\n', ('authentication.mechanisms[1]: "SCRAM-SHA-256" is not '
     'available in this version; use "USER", "APOP", "PLAIN" or "LOGIN"')),
    ('[[authentication.backend]]\ntype = "pam"\n', ('authentication.backend[1].type: "pam" is not available in this '
     'version; use "password-file" or "python:module.function"')),
    ('[maildrop]\ntype = "mbox"\n', ('maildrop.type: "mbox" is not available in this version; use "maildir", "memory" '
     'or "python:module.Class"')),
    ('[maildrop]\non_delete = "keep-days:14"\n',
     'maildrop.on_delete: "keep-days:14" is not available in this version; use "destroy"'),
    ('[maildrop]\nlock = "wait:10"\n',
     'maildrop.lock: "wait:10" is not available in this version; use "refuse" or "snapshot"'),
    ('[maildrop]\nlock = {policy = "take-over", idle = 60}\n', ('maildrop.lock.policy: "take-over" is not available in '
     'this version; use "refuse" or "snapshot"')),
    ('[maildrop]\nunique_id = "dovecot"\n',
     'maildrop.unique_id: "dovecot" is not available in this version; use "auto"'),
    ('[maildrop]\nunique_id = "%08Xu%08Xv"\n',
     'maildrop.unique_id: "%08Xu%08Xv" is not available in this version; use "auto"'),
    ("[limits]\nlogin_delay = 60\n", "limits.login_delay: 60 is not available in this version; set login_delay = 0"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), NOT_YET)
def test_what_is_not_built_is_refused(text: str, told: str) -> None:
    assert told in [line.partition(": ")[2] for line in lines(text)]


def test_the_keys_of_a_kind_that_is_not_built_are_not_judged() -> None:
    assert len(lines('[[authentication.backend]]\ntype = "sql"\ndsn = "postgresql:///mail"\nquery = 3\n')) == 1


# Unknown keys: near names, aliases, the list of what is allowed.


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('[server]\ngreting = "x"\n', 'did you mean "greeting"?'),
        ('[tls]\ntls_cert = "x"\n', 'did you mean "certificate"?'),
        ('ssl_cert = "x"\n', "did you mean tls.certificate?"),
        ('mail_location = "maildir:~/Maildir"\n', "did you mean maildrop.path?"),
        ("[server]\nautologout = 900\n", "did you mean limits.autologout?"),
        ("[server]\nport = 110\n", "did you mean listener.address?"),
        ("[tls]\nxyzzy = 1\n", "allowed here: certificate, key, minimum_version, sni"),
        ("[limits]\nxyzzy = 1\n", "see: poplin config explain"),
        ("[sever]\nworkers = 1\n", 'did you mean "server"?'),
        ('[maildrop.rul]\nmatch = "*"\n', 'did you mean "rule"?'),
    ],
)
def test_an_unknown_key_is_answered_with_what_was_meant(text: str, meant: str) -> None:
    assert lines(text) == [lines(text)[0]]
    assert lines(text)[0].endswith(f"unknown key; {meant}")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('[[listener]]\naddress = "[::1]:0"\ntls = "startls"\n', '"startls" is not allowed; did you mean "starttls"?'),
        ('[authentication]\nmechanisms = ["plain"]\n', '"plain" is not allowed; did you mean "PLAIN"?'),
        ('[maildrop]\ntype = "Maildir"\n', '"Maildir" is not allowed; did you mean "maildir"?'),
        ('[authentication]\nallow_cleartext = "sometimes"\n', 'use "never", "loopback" or "always"'),
    ],
)
def test_a_value_that_is_not_allowed_is_answered_with_those_that_are(text: str, meant: str) -> None:
    assert meant in lines(text)[0]


def test_a_list_of_tables_says_how_it_is_written() -> None:
    assert lines('[listener]\naddress = "127.0.0.1:110"\n') == [
        "poplin.toml:1: listener: expected a list of tables, written [[listener]], found a table"
    ]


def test_a_missing_key_is_told_at_its_table_unless_it_is_misspelt() -> None:
    assert lines('[[listener]]\ntls = "none"\n') == [
        'poplin.toml:1: listener[1].address: missing, for example address = "127.0.0.1:1110"'
    ]
    assert lines('[[listener]]\nadress = "127.0.0.1:110"\n') == [
        'poplin.toml:2: listener[1].adress: unknown key; did you mean "address"?'
    ]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:65536", "no port from 0 to 65535"),
        ("localhost:1110", 'is no address; write "127.0.0.1:1110"'),
        ("*:110", 'is no address; write "0.0.0.0:110"'),
        (":110", 'is no address; write "0.0.0.0:110"'),
        ("::1:110", 'an IPv6 address stands in brackets: "[::1]:110"'),
        ("unix:", "names no socket"),
        ("mail.example.org:110", "is no address"),
        ("127.0.0.1:٣", "has no port"),
    ],
)
def test_an_address_that_is_none_says_how_to_write_one(address: str, words: str) -> None:
    assert words in lines(f'[[listener]]\naddress = "{address}"\n')[0]


@pytest.mark.parametrize("address", ["127.0.0.1:0", "0.0.0.0:65535", "[::]:110", "[::1]:995", "unix:run/pop3.sock"])
def test_addresses_that_are_fine(address: str) -> None:
    assert lines(f'[[listener]]\naddress = "{address}"\n') == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("mail/{usr}", "{usr} is unknown"),
        ("mail/{user", "no other brace"),
        ("mail/all", "the same maildrop"),
        ("mail/{domain}", "the same maildrop"),
    ],
)
def test_a_path_for_maildrops_has_fields_that_tell_users_apart(path: str, words: str) -> None:
    assert words in lines(f'[maildrop]\npath = "{path}"\n')[0]


# No TOML at all.


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b'a = 1\nb = "x\n', "poplin.toml:2: not valid TOML: the text that begins here has no closing quote"),
        (b"a = 1\nb = tru\n", "poplin.toml:2: not valid TOML: invalid value"),
        (b"a = 1\nb = \xff\n", "poplin.toml:2: not valid UTF-8"),
        (b"version = 2\n[server]\n[server]\nx = {\n", "poplin.toml:4: not valid TOML: the table that begins here"),
        (b"a = " + b"[" * 5000, "poplin.toml:1: "),
    ],
)
def test_a_syntax_error_stands_alone(octets: bytes, told: str) -> None:
    with pytest.raises(Invalid) as caught:
        read("poplin.toml", octets)
    (problem,) = caught.value.problems
    assert show("poplin.toml", problem)[0].startswith(told)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert read("poplin.toml", b"\xef\xbb\xbfversion = 1\n").clean == {"version": 1}


# How it is shown.


def test_the_caret_stands_under_the_value() -> None:
    document = check(FIVE)
    excerpt = show("poplin.toml", in_order(document.problems)[0], document.text.splitlines())
    assert excerpt[1:] == ['    3 | workers = "two"', "      |           ^^^^^ whole number"]


def test_paths_count_from_one() -> None:
    assert path_text(("authentication", "backend", 0, "type")) == "authentication.backend[1].type"


def test_every_key_stands_in_a_table_of_the_schema_and_has_a_text() -> None:
    for key in KEYS:
        assert key.text.endswith((".", '").'))
        assert key.since
        parent = key.path.rpartition(".")[0]
        assert not parent or schema.find(parent) is not None, key.path
    assert len({key.path for key in KEYS}) == len(KEYS)
