"""The command ``poplin``: finds the command that was named, runs it, and tells of failures in one line.

Thin on purpose: what a command does lives in `poplin.commands`, loaded when it is used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from typing import cast

import click

from poplin.commands.base import Group
from poplin.commands.failures import Failure
from poplin.commands.output import Output, fill_standard_descriptors
from poplin.commands.usage import as_failure

__all__ = ["COMMANDS", "main", "root"]

COMMANDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Run it": (
        ("serve", "poplin.commands.serve:serve", "Run the server."),
        ("inetd", "poplin.commands.inetd:inetd", "Serve one session on standard input and output."),
    ),
    "Users": (("user", "poplin.commands.users:user", "Add, change, remove and list users of a password file."),),
    "Configuration": (
        ("init", "poplin.commands.init:init", "Write a first configuration, ready to serve."),
        ("check", "poplin.commands.config:check", "Check the configuration, without starting anything."),
        ("config", "poplin.commands.config:config", "Write, check and explain the configuration."),
    ),
    "Tools": (
        ("help", "poplin.commands.help:help_command", "Show the help of a command, or a topic."),
        ("completion", "poplin.commands.help:completion", "Print the completion script of a shell."),
    ),
}
"""Where each command lives, in the groups that ``poplin`` shows."""


class Root(Group):
    """All commands, each loaded when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of the table."""
        del ctx
        return [name for commands in COMMANDS.values() for name, _, _ in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load the module of a command."""
        del ctx
        where = next((where for commands in COMMANDS.values() for name, where, _ in commands if name == cmd_name), "")
        if not where:
            return None
        module, _, attribute = where.partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))

    def command_lines(self, ctx: click.Context, heading: Callable[[str], str]) -> list[str]:
        """The commands by group, from the table alone."""
        del ctx
        lines: list[str] = []
        for title, commands in COMMANDS.items():
            lines += ["", heading(f"{title}:"), *(f"  {name:<10}  {text}" for name, _, text in commands)]
        return lines


def _show_version(context: click.Context, parameter: click.Parameter, value: object) -> None:
    del parameter
    if value:
        from poplin import __version__

        sys.stdout.write(f"poplin {__version__}\n")
        context.exit()


root: Root = Root(
    name="poplin",
    help="A POP3 server and its tools.",
    examples=("poplin init", "poplin serve", "poplin help user add"),
)
root.params.insert(
    0,
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_show_version,
        help="Print the version.",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``poplin``; the answer is the exit status: 0 done, 1 failed, 2 wrong usage."""
    fill_standard_descriptors()
    words = list(sys.argv[1:] if arguments is None else arguments)
    shared = Output()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = root.main(words, "poplin", standalone_mode=False, obj=shared)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has enough of it; nothing went wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except (click.ClickException, click.Abort) as error:
        return _tell(as_failure(error), shared, words)
    except Failure as failure:
        return _tell(failure, shared, words)
    except Exception as error:
        if shared.debug:
            raise
        return _tell(_our_mistake(error, shared.crash_folder), shared, words)
    return status if isinstance(status, int) else 0


def _tell(failure: Failure, shared: Output, words: Sequence[str]) -> int:
    """One line on standard error, or one object."""
    if shared.json or "--json" in words:
        import json

        facts = {"code": failure.code, "message": failure.message, "hint": failure.hint, **failure.details}
        shared.error(json.dumps({"error": facts}, ensure_ascii=False, default=str))
    else:
        before = "" if failure.details.get("problems") else f"{failure.command or 'poplin'}: "
        hint = f"; {failure.hint}" if failure.hint else ""
        shared.error(f"{shared.paint(before, 'red', stream=sys.stderr)}{failure.message}{hint}")
    return failure.status


def _our_mistake(error: Exception, folder: str | None) -> Failure:
    """Keep the traceback where it can be found: its reader is a developer, not the user of the command."""
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    for place in (folder, None):
        try:
            if place:
                os.makedirs(place, mode=0o700, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", prefix="crash-", suffix=".txt", dir=place, delete=False) as kept:
                kept.write(text)
            break
        except OSError:
            continue
    else:
        return Failure("internal", f"a mistake of poplin's own ({type(error).__name__})", "see it with: --debug")
    hint = f"the full text is in {kept.name}: please report it, after reading it for secrets"
    return Failure("internal", f"a mistake of poplin's own ({type(error).__name__})", hint)
