"""What every command shares: options that stand anywhere, help with examples, near names for what is unknown.

Nothing here belongs to one command alone, and nothing is loaded that ``--help`` does not need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import click

from poplin.commands.failures import Failure, WrongUsage
from poplin.commands.output import Output
from poplin.daemon.suggest import nearest

__all__ = ["Command", "Group", "config_option", "json_option", "output"]

Decorated = TypeVar("Decorated", bound=Callable[..., object])


def output(context: click.Context | None = None) -> Output:
    """The running command's output."""
    return (context or click.get_current_context()).find_root().ensure_object(Output)


def _store(name: str, read: Callable[[object, Output], object]) -> Callable[..., None]:
    def callback(context: click.Context, parameter: click.Parameter, value: object) -> None:
        del parameter
        if value:
            shared = output(context)
            setattr(shared, name, read(value, shared))

    return callback


def _common_options() -> list[click.Parameter]:
    """They stand before the command or behind it: ``poplin -v serve`` is ``poplin serve -v``."""
    return [
        click.Option(["-q", "--quiet"], is_flag=True, expose_value=False, help="Print only errors.",
                     callback=_store("verbosity", lambda _value, _shared: -1)),
        click.Option(["-v", "--verbose"], count=True, expose_value=False, help="Print more.",
                     callback=_store("verbosity", lambda value, shared: shared.verbosity + cast("int", value))),
        click.Option(["--color"], is_eager=True, type=click.Choice(["auto", "always", "never"]), expose_value=False,
                     help="Colour the words that matter. [default: auto, env: NO_COLOR, FORCE_COLOR]",
                     callback=_store("color", lambda value, _shared: value)),
        click.Option(["--debug"], is_flag=True, expose_value=False, hidden=True,
                     callback=_store("debug", lambda _value, _shared: True)),
    ]  # fmt: skip


_SETTINGS = {"context_settings": {"help_option_names": ["-h", "--help"]}}


class _Helped(click.Command):
    """A command whose help has examples that run."""

    examples: Sequence[str] = ()

    def get_help(self, ctx: click.Context) -> str:
        """Usage, one sentence, examples, options by purpose, where to read on."""
        shared = output(ctx)
        ctx.color = shared.is_coloured(sys.stdout)  # else click takes our escapes out, or leaves them in

        def heading(text: str) -> str:
            return shared.paint(text, "bold", stream=sys.stdout)

        lines = [
            f"{heading('Usage:')} {ctx.command_path} {' '.join(self.collect_usage_pieces(ctx))}",
            "",
            self.help or "",
        ]
        if self.examples:
            lines += ["", heading("Examples:"), *(f"  {example}" for example in self.examples)]
        lines += self.command_lines(ctx, heading)
        common = {option for parameter in _common_options() for option in parameter.opts} | {"--help"}
        own: list[tuple[str, str]] = []
        everywhere: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = None if isinstance(parameter, click.Argument) else parameter.get_help_record(ctx)
            if record:
                (everywhere if common.intersection(parameter.opts) else own).append(record)
        for title, records in (("Options:", own), ("Options of every command:", everywhere)):
            if records:
                width = max(len(names) for names, _ in records)
                lines += ["", heading(title), *(f"  {names:<{width}}  {text}" for names, text in records)]
        lines += ["", f"{heading('More:')} poplin help; the chapters are in docs/"]
        return "\n".join(lines)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; what is wrong with them remembers which command it was."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Run it; a failure remembers which command it was."""
        try:
            return super().invoke(ctx)
        except Failure as failure:
            failure.command = failure.command or ctx.command_path
            raise

    def command_lines(self, ctx: click.Context, heading: Callable[[str], str]) -> list[str]:
        """What a group lists between its examples and its options."""
        del ctx, heading
        return []


class Command(_Helped):
    """One command."""

    def __init__(self, *, examples: Sequence[str] = (), **settings: object) -> None:
        super().__init__(**{**settings, **_SETTINGS})  # type: ignore[arg-type]  # click's own keywords
        self.examples = examples
        self.params.extend(_common_options())


class Group(_Helped, click.Group):
    """Commands under one name. Called alone it lists them, which is wrong usage: exit status 2."""

    command_class: type[click.Command] | None = Command

    def __init__(self, *, examples: Sequence[str] = (), **settings: object) -> None:
        super().__init__(**{"no_args_is_help": False, "invoke_without_command": True, **settings, **_SETTINGS})  # type: ignore[arg-type]  # click's own keywords
        self.examples = examples
        self.params.extend(_common_options())

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        if not ctx._protected_args and not ctx.args:
            sys.stderr.write(self.get_help(ctx) + "\n")
            return 2
        return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was named.

        Raises:
            WrongUsage: there is none; a near name is suggested.
        """
        name, *rest = args
        command = self.get_command(ctx, name)
        if command is None and name.startswith("-"):
            raise click.NoSuchOption(name, ctx=ctx)
        if command is None:
            near = nearest(name, self.list_commands(ctx))
            meant = f'; did you mean "{near}"?' if near else ""
            failure = WrongUsage(f'no command "{name}"{meant} ({ctx.command_path} --help lists all)')
            failure.command = ctx.command_path
            raise failure
        return name, command, rest

    def command_lines(self, ctx: click.Context, heading: Callable[[str], str]) -> list[str]:
        """The commands with their short help."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in found)
        rows = [f"  {name:<{width}}  {command.help}" for name, command in found if command]
        return ["", heading("Commands:"), *rows]


def config_option(function: Decorated) -> Decorated:
    """``--config FILE``."""
    return click.option(
        "--config",
        metavar="FILE",
        help="The configuration. [default: ./poplin.toml, /etc/poplin/poplin.toml; env: POPLIN_CONFIG]",
    )(function)


def json_option(function: Decorated) -> Decorated:
    """``--json``."""
    callback = _store("json", lambda _value, _shared: True)
    text = "Print one JSON document; errors too."
    return click.option("--json", is_flag=True, expose_value=False, callback=callback, help=text)(function)
