"""``poplin init``, ``check`` and ``config``: a first configuration that serves, and one that is wrong in five places."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from daemon.command import Done, environment, poplin, write_memory
from poplin.daemon import schema

HASHED = "{SSHA256}" + "A" * 48


def test_init_writes_what_serves_and_check_agrees(tmp_path: Path) -> None:
    made = poplin("init", folder=tmp_path)
    assert made.status == 0
    assert made.out.startswith(
        "made poplin.toml, cert.pem, key.pem, users, var/mail/demo/Maildir\naccount made: demo  "
    )
    checked = poplin("check", folder=tmp_path)
    assert checked.status == 0
    lines = checked.out.splitlines()
    assert lines[:4] == [
        "./poplin.toml: ok",
        "  listeners       127.0.0.1:1110 starttls, 127.0.0.1:1995 implicit",
        '  authentication  password-file "users": 1 user; offers LOGIN PLAIN USER; no APOP (0 of 1 records can serve it)',
        '  maildrop        maildir "var/mail/{user}/Maildir", unique-ids "auto", deletes by "destroy"',
    ]
    assert lines[4].startswith("  certificate     cert.pem, localhost, until 20")
    assert lines[5:] == ["1 warning"]
    assert checked.err.endswith("warning: tls.certificate: self-made; clients will refuse it until told to trust it\n")
    assert poplin("check", "--strict", folder=tmp_path).status == 1


def test_init_twice(tmp_path: Path) -> None:
    poplin("init", folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert poplin("init", folder=tmp_path) == Done(
        1, "", "poplin init: poplin.toml is already there; check it with: poplin config check\n"
    )
    assert poplin("init", "--if-missing", folder=tmp_path) == Done(
        0, "poplin.toml is already there; nothing to do\n", ""
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_init_without_an_account_and_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = poplin("config", "init", "--no-account", "--config", "etc/mine.toml", folder=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert "start it with: poplin serve --config etc/mine.toml" in done.out
    assert (tmp_path / "etc/users").read_text() == ""
    assert sorted(os.listdir(tmp_path / "etc")) == ["cert.pem", "key.pem", "mine.toml", "users"]


def test_init_where_nothing_can_be_written(tmp_path: Path) -> None:
    done = poplin("init", "--config", "absent/poplin.toml", folder=tmp_path)
    assert done.status == 1
    assert done.err.startswith("poplin init: cannot write ")
    assert done.err.endswith(": no such file or directory\n")


def test_init_as_data(tmp_path: Path) -> None:
    document = poplin("init", "--json", "--account", "ann", folder=tmp_path).document
    assert document["account"] == "ann"
    assert document["password"]
    assert (tmp_path / "users").read_text().startswith("ann:{SCRAM-SHA-256}")


FIVE = """\
version = 1
[server]
workers = "two"
[[listener]]
address = "127.0.0.1:0"
tsl = "none"
[tls]
minimum_version = "1.1"
[authentication]
mechanisms = ["APOP", "PLAIN"]
[[authentication.backend]]
type = "password-file"
path = "users"
[maildrop]
type = "memory"
[limits]
autologout = 300
"""
TOLD = """\
./poplin.toml:3: server.workers: expected a whole number (0 = one per core), found the text "two"
./poplin.toml:6: listener[1].tsl: unknown key; did you mean "tls"?
./poplin.toml:8: tls.minimum_version: "1.1" is not allowed; use "1.2" or "1.3" (older only in a [tls_profile.NAME] of its own)
./poplin.toml:10: authentication.mechanisms: APOP needs readable secrets, and 2 of 2 records in "users" are hashed; drop "APOP" or see: poplin config explain authentication.mechanisms
./poplin.toml:17: limits.autologout: 300 is below the 600 s of RFC 1939; set 600 or more, or allow_short_autologout = true
5 errors; nothing was started or changed
"""


@pytest.mark.parametrize("command", ["check", "config check", "serve"])
def test_five_mistakes_of_every_kind_at_once(command: str, tmp_path: Path) -> None:
    (tmp_path / "poplin.toml").write_text(FIVE)
    (tmp_path / "users").write_text(f"ann:{HASHED}\nbob:{HASHED}\n")
    assert poplin(*command.split(), folder=tmp_path) == Done(1, "", TOLD)


def test_a_syntax_error_stands_alone(tmp_path: Path) -> None:
    (tmp_path / "poplin.toml").write_text('version = 1\n[sever]\n\n\nx = "two\n')
    done = poplin("check", folder=tmp_path)
    assert done.err == (
        "./poplin.toml:5: not valid TOML: the text that begins here has no closing quote\n"
        "1 error; nothing was started or changed\n"
    )


def test_an_editors_buffer_is_checked_from_standard_input(tmp_path: Path) -> None:
    write_memory(tmp_path)
    text = (tmp_path / "poplin.toml").read_bytes() + b"[limits]\nx = 1\n"
    done = poplin("check", "-", folder=tmp_path, stdin=text)
    assert done.status == 1
    assert done.err.startswith("standard input:10: limits.x: unknown key")
    assert poplin("check", "-", folder=tmp_path, stdin=(tmp_path / "poplin.toml").read_bytes()).status == 0


def on_a_terminal(*words: str, folder: Path) -> str:
    """What ``poplin`` writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "poplin", *words], cwd=folder, env=environment(TERM="xterm"),
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                seen += os.read(ours, 65_536)
            except OSError:  # how Linux tells that the other end was closed
                break
        process.wait(timeout=60)
    os.close(ours)
    return seen.decode().replace("\r\n", "\n")


def test_on_a_terminal_a_caret_stands_under_the_value(tmp_path: Path) -> None:
    (tmp_path / "poplin.toml").write_text(FIVE)
    (tmp_path / "users").write_text(f"ann:{HASHED}\n")
    seen = on_a_terminal("check", folder=tmp_path)
    assert '    3 | workers = "two"\n      |           ^^^^^ whole number\n' in seen
    assert "\x1b[31m./poplin.toml:3\x1b[0m: server.workers:" in seen


def test_check_as_data(tmp_path: Path) -> None:
    poplin("init", folder=tmp_path)
    document = poplin("check", "--json", folder=tmp_path).document
    assert document["ok"] is True
    assert document["listeners"][1] == {"address": "127.0.0.1:1995", "tls": "implicit"}
    assert document["authentication"]["offers"] == ["LOGIN", "PLAIN", "USER"]
    assert document["certificate"]["until"].endswith("Z")
    assert isinstance(document["certificate"]["days_left"], int)
    assert [one["level"] for one in document["warnings"]] == ["warning"]


def test_apop_is_offered_where_every_record_can_serve_it(tmp_path: Path) -> None:
    write_memory(tmp_path)
    assert "offers APOP LOGIN PLAIN USER\n" in poplin("check", folder=tmp_path).out


@pytest.mark.parametrize("key", [key.path for key in schema.KEYS])
def test_every_key_is_explained(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    from poplin import cli

    assert cli.main(["config", "explain", key]) == 0
    found = schema.find(key)
    assert found is not None
    assert found.text in capsys.readouterr().out


def test_explain_tells_type_default_allowed_values_and_an_example(tmp_path: Path) -> None:
    assert poplin("config", "explain", "listener[2].tls", folder=tmp_path).out == (
        "listener.tls: No TLS, TLS on request (STLS, RFC 2595), or TLS from the first octet (POP3S, RFC 8314).\n"
        '  type     text\n  default  "none"\n  allowed  "none", "starttls", "implicit"\n'
        '  example  tls = "none"\n  since    0.1\n'
    )
    later = poplin("config", "explain", "maildrop.type", folder=tmp_path).out
    assert '  later    "mbox", "sql", "pop3", "imap", "feed", "web": not available in this version\n' in later
    assert "only 1 in this version" in poplin("config", "explain", "server.workers", folder=tmp_path).out
    assert "not available in this version" in poplin("config", "explain", "server.control", folder=tmp_path).out


@pytest.mark.parametrize(
    "key", [one for one in schema.KEYS if not one.is_table and one.is_built], ids=lambda key: key.path
)
def test_the_example_of_every_key_is_toml(key: schema.Key, capsys: pytest.CaptureFixture[str]) -> None:
    from poplin import cli

    cli.main(["config", "explain", key.path])
    (example,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  example")]
    assert set(tomllib.loads(example.removeprefix("  example").strip())) == {key.name}


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("limits.autologuot", "did you mean limits.autologout?"),
        ("autologout", "did you mean limits.autologout?"),
        ("ssl_cert", "did you mean tls.certificate?"),
        ("xyzzy", "all keys: poplin config explain"),
    ],
)
def test_an_unknown_key_to_explain(key: str, hint: str, tmp_path: Path) -> None:
    done = poplin("config", "explain", key, folder=tmp_path)
    assert done == Done(1, "", f'poplin config explain: no key "{key}"; {hint}\n')
