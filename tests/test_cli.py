"""The command ``poplin``: help, wrong usage, near names, colour, JSON errors, closed pipes. Each by a real process."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.command import Done, environment, poplin, serving, write_memory
from poplin import __version__, cli
from poplin.commands.base import Command, Group
from poplin.commands.failures import CODES
from poplin.commands.help import TOPICS

COMMANDS = [
    "serve", "inetd", "init", "check", "config", "config init", "config check", "config explain", "user", "user add",
    "user passwd", "user remove", "user list", "help", "completion",
]  # fmt: skip


def command(name: str) -> Command | Group:
    import click

    found: click.Command = cli.root
    for word in name.split():
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None
        found = inner
    assert isinstance(found, Command | Group)
    return found


def test_the_list_of_commands_here_is_whole() -> None:
    import click

    names = set()
    for name in cli.root.list_commands(click.Context(cli.root)):
        names.add(name)
        found = command(name)
        if isinstance(found, click.Group):
            names |= {f"{name} {inner}" for inner in found.list_commands(click.Context(found))}
    assert names == set(COMMANDS)


# Help


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_is_short_and_has_examples(name: str, tmp_path: Path) -> None:
    done = poplin(*name.split(), "--help", folder=tmp_path)
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith(f"Usage: poplin {name}".rstrip())
    assert "Examples:" in lines
    assert len(lines) <= 60
    assert max(len(line) for line in lines) <= 160
    assert poplin(*name.split(), "-h", folder=tmp_path) == done
    if name:
        assert poplin("help", *name.split(), folder=tmp_path) == done


@pytest.mark.parametrize("name", COMMANDS)
def test_help_loads_neither_the_event_loop_nor_tls(name: str, tmp_path: Path) -> None:
    script = (
        "import sys; from poplin.cli import main; "
        f"status = main({[*name.split(), '--help']!r}); "
        "sys.exit(status or bool({'asyncio', 'ssl', 'uvloop', 'cryptography', 'passlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


EXAMPLES = [(name, example) for name in COMMANDS for example in command(name).examples]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{example}" for _, example in EXAMPLES])
def test_every_example_runs(name: str, example: str, tmp_path: Path) -> None:
    tool = tmp_path / "bin" / "poplin"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m poplin "$@"\n')
    tool.chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    poplin("init", folder=folder)
    toml = folder / "poplin.toml"
    toml.write_text(toml.read_text().replace(":1110", ":0").replace(":1995", ":0"))
    env = environment(PATH=f"{tool.parent}:{os.environ['PATH']}")
    if example.startswith("poplin serve") and not example.endswith("--help"):
        serve_once(example, folder, env)
        return
    done = subprocess.run(["sh", "-c", example], cwd=folder, env=env, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


def serve_once(example: str, folder: Path, env: dict[str, str]) -> None:
    words = ["sh", "-c", f"exec {example}"]
    with subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"listening on ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_alone_it_lists_the_commands_in_groups_and_that_is_wrong_usage(tmp_path: Path) -> None:
    done = poplin(folder=tmp_path)
    assert (done.status, done.out) == (2, "")
    for group, commands in cli.COMMANDS.items():
        assert f"{group}:" in done.err
        assert all(f"  {name} " in done.err for name, _, _ in commands)


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_topics(topic: str, tmp_path: Path) -> None:
    assert poplin("help", topic, folder=tmp_path) == Done(0, TOPICS[topic] + "\n", "")


def test_the_version(tmp_path: Path) -> None:
    assert poplin("--version", folder=tmp_path) == Done(0, f"poplin {__version__}\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, tmp_path: Path) -> None:
    done = poplin("completion", shell, folder=tmp_path)
    assert done.status == 0
    assert "_POPLIN_COMPLETE" in done.out


def test_completion_completes(tmp_path: Path) -> None:
    env = {"_POPLIN_COMPLETE": "bash_complete", "COMP_WORDS": "poplin user re", "COMP_CWORD": "2"}
    assert poplin(folder=tmp_path, env=env).out == "plain,remove\n"


# Wrong usage

WRONG = [
    ("serv", 'poplin: no command "serv"; did you mean "serve"? (poplin --help lists all)'),
    ("xyzzy", 'poplin: no command "xyzzy" (poplin --help lists all)'),
    ("user ad x", 'poplin user: no command "ad"; did you mean "add"? (poplin user --help lists all)'),
    ("serve --prot 1110", ("poplin serve: no option --prot; did you mean --port? that is --listen ADDRESS:PORT here "
     "(poplin serve --help)")),
    ("serve --port 1110", "poplin serve: no option --port; that is --listen ADDRESS:PORT here (poplin serve --help)"),
    ("serve -p 1110", "poplin serve: no option -p; that is --listen ADDRESS:PORT here (poplin serve --help)"),
    ("serve --host ::1", "poplin serve: no option --host; that is --listen ADDRESS:PORT here (poplin serve --help)"),
    ("serve -c x", "poplin serve: no option -c; that is --config FILE here (poplin serve --help)"),
    ("serve --lisen x", "poplin serve: no option --lisen; did you mean --listen? (poplin serve --help)"),
    ("serve --xyzzy", "poplin serve: no option --xyzzy (poplin serve --help)"),
    ("serve --listen", "poplin serve: option '--listen' requires an argument (poplin serve --help)"),
    ("serve more", "poplin serve: got unexpected extra argument (more) (poplin serve --help)"),
    ("serve --listen 1110", ('poplin serve: --listen: "1110" has no port from 0 to 65535 at its end; '
     'write "127.0.0.1:1110", "[::1]:1110" or "unix:run/pop3.sock"')),
    ("user add", "poplin user add: missing NAME (poplin user add --help)"),
    ("--color red serve", "poplin: --color: 'red' is not one of 'auto', 'always', 'never' (poplin --help)"),
    ("check a --config b", "poplin check: give FILE or --config FILE, not both"),
    ("help sevre", 'poplin help: no command or topic "sevre"; did you mean "serve"?'),
]  # fmt: skip


@pytest.mark.parametrize(("words", "told"), WRONG, ids=[words for words, _ in WRONG])
def test_wrong_usage_is_one_line_and_status_2(words: str, told: str, tmp_path: Path) -> None:
    assert poplin(*words.split(), folder=tmp_path) == Done(2, "", told + "\n")


@pytest.mark.parametrize("words", ["user add ann --password x", "user passwd ann --password=x"])
def test_no_command_takes_a_password_as_an_argument(words: str, tmp_path: Path) -> None:
    done = poplin(*words.split(), folder=tmp_path)
    assert done.status == 2
    assert "a password is never an argument" in done.err


# JSON, colour, quiet


@pytest.mark.parametrize("words", ["check --json", "--json check", "user list --json", "init --json --xyzzy"])
def test_under_json_an_error_is_one_object_with_a_known_code(words: str, tmp_path: Path) -> None:
    done = poplin(*words.split(), folder=tmp_path)
    assert done.status in {1, 2}
    assert done.out == ""
    assert done.error["code"] in CODES
    assert set(done.error) >= {"code", "message", "hint"}


def test_the_errors_of_a_configuration_are_data_too(tmp_path: Path) -> None:
    write_memory(tmp_path, more="[limits]\nautologuot = 3\n[server]\nworkers = 2\n")
    error = poplin("check", "--json", folder=tmp_path).error
    assert error["code"] == "configuration-invalid"
    assert [(one["line"], one["key"], one["level"]) for one in error["problems"]] == [
        (10, "limits.autologuot", "error"),
        (12, "server.workers", "error"),
    ]


JSON_COMMANDS = ["check", "config explain", "config explain tls", "user list", "init --if-missing"]


@pytest.mark.parametrize("words", JSON_COMMANDS)
def test_json_is_one_document_with_its_schema_first(words: str, tmp_path: Path) -> None:
    write_memory(tmp_path)
    done = poplin(*words.split(), "--json", folder=tmp_path)
    assert (done.status, done.err) == (0, "")
    assert done.out.count("\n") == 1
    assert next(iter(json.loads(done.out).items())) == ("schema", 1)


COLOURLESS: list[dict[str, str]] = [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}]


@pytest.mark.parametrize("env", COLOURLESS, ids=["pipe", "NO_COLOR", "dumb"])
@pytest.mark.parametrize("words", ["check", "--help", "serv", "user list", "config explain tls"])
def test_without_colour_there_is_no_escape(words: str, env: dict[str, str], tmp_path: Path) -> None:
    write_memory(tmp_path, users="")
    done = poplin(*words.split(), folder=tmp_path, env=env)
    assert "\x1b" not in done.out + done.err
    if words == "check":
        assert "poplin.toml: ok\n" in done.out
        assert "warning: authentication.backend[1].path" in done.err


@pytest.mark.parametrize(
    "words", ["check --color always", "--color always check", "--color always --help", "--color always serv"]
)
def test_colour_when_asked_for(words: str, tmp_path: Path) -> None:
    write_memory(tmp_path)
    done = poplin(*words.split(), folder=tmp_path, env={"NO_COLOR": "1"})
    assert "\x1b[" in done.out + done.err


def test_force_color_counts_and_an_empty_no_color_does_not_hinder(tmp_path: Path) -> None:
    write_memory(tmp_path)
    assert "\x1b[32mok" in poplin("check", folder=tmp_path, env={"FORCE_COLOR": "1", "NO_COLOR": ""}).out


def test_quiet_and_verbose_stand_anywhere(tmp_path: Path) -> None:
    write_memory(tmp_path, users="")
    quiet = poplin("-q", "check", folder=tmp_path)
    assert quiet == poplin("check", "-q", folder=tmp_path)
    assert (quiet.status, quiet.err) == (0, "")
    assert poplin("-v", "check", folder=tmp_path).status == 0


# Ends


def test_a_closed_pipe_ends_silently(tmp_path: Path) -> None:
    words = f"{shlex.quote(sys.executable)} -m poplin config explain | head -n 1"
    for _ in range(3):
        done = subprocess.run(
            ["sh", "-c", words], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.startswith("version")
        assert done.stderr == ""


def test_a_mistake_of_our_own_is_one_line_and_the_rest_is_kept(tmp_path: Path) -> None:
    write_memory(tmp_path)
    script = (
        "import sys; from poplin import cli; from poplin.commands import configured\n"
        "def broken(*_): raise ZeroDivisionError('planted')\n"
        "configured.load.find = broken\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", script, "check"]
    env = environment(TMPDIR=str(tmp_path))
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "a mistake of poplin's own (ZeroDivisionError); the full text is in " in done.stderr
    (kept,) = tmp_path.glob("crash-*.txt")
    assert "planted" in kept.read_text()
    shown = subprocess.run([*words, "--debug"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" in shown.stderr


def test_a_locale_without_our_letters_is_no_crash(tmp_path: Path) -> None:
    write_memory(tmp_path, users="jürgen:{PLAIN}x\n")
    done = poplin("user", "list", folder=tmp_path, env={"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.status == 0
    assert "j\\xfcrgen" in done.out


def test_as_a_module_and_as_a_function_it_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["help", "exit"]) == 0
    assert capsys.readouterr().out == poplin("help", "exit", folder=tmp_path).out


def test_without_a_configuration_nothing_is_a_dead_end(tmp_path: Path) -> None:
    for words in ("serve", "check", "inetd", "user list"):
        done = poplin(*words.split(), folder=tmp_path, env={"POPLIN_CONFIG": "absent.toml"})
        assert done.status == 1
        assert done.err == (
            f"poplin {words}: no configuration found (looked for absent.toml); write one with: poplin init\n"
        )


def test_the_environment_names_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_memory(tmp_path / "a")
    assert poplin("check", folder=tmp_path, env={"POPLIN_CONFIG": "a/poplin.toml"}).out.startswith(
        "a/poplin.toml: ok\n"
    )
    with serving("--config", "a/poplin.toml", "--listen", "127.0.0.1:0", folder=tmp_path) as server:
        assert server.stop().status == 0
