"""Wrong usage, told in one line: what the parser found wrong becomes a `WrongUsage` with what was meant."""

from __future__ import annotations

import click

from poplin.commands.failures import Failure, WrongUsage
from poplin.daemon.suggest import nearest

__all__ = ["WISHES", "as_failure"]

WISHES = {
    "--port": "that is --listen ADDRESS:PORT here",
    "-p": "that is --listen ADDRESS:PORT here",
    "--host": "that is --listen ADDRESS:PORT here",
    "--bind": "that is --listen ADDRESS:PORT here",
    "-c": "that is --config FILE here",
    "--password": "a password is never an argument: --password-stdin reads it, --generate makes one",
}
"""Options that other programs have, and what they are called here."""


def as_failure(error: click.ClickException | click.Abort) -> Failure:
    """What the parser found, in our words."""
    if isinstance(error, click.Abort):
        return Failure("cancelled", "cancelled, nothing changed")
    context = getattr(error, "ctx", None)
    failure = _wrong_usage(error, context)
    failure.command = context.command_path if context else "poplin"
    return failure


def _wrong_usage(error: click.ClickException, context: click.Context | None) -> WrongUsage:
    see = f" ({context.command_path if context else 'poplin'} --help)"
    if isinstance(error, click.NoSuchOption):
        return WrongUsage(f"no option {error.option_name}{_option_meant(error.option_name, context)}{see}")
    if isinstance(error, click.MissingParameter):
        parameter = error.param
        name = parameter.make_metavar(ctx=context) if parameter and context else "an argument"
        return WrongUsage(f"missing {name}{see}")
    if isinstance(error, click.BadParameter) and error.param:
        return WrongUsage(f"{max(error.param.opts, key=len)}: {_plain(error.message)}{see}")
    return WrongUsage(f"{_plain(error.format_message())}{see}")


def _plain(text: str) -> str:
    """Our lines begin in lower case and have no full stop."""
    text = " ".join(text.split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _option_meant(option: str, context: click.Context | None) -> str:
    if option in WISHES:
        return f"; {WISHES[option]}"
    if not option.startswith("--") or context is None:
        return ""
    known = [name for parameter in context.command.get_params(context) for name in parameter.opts]
    words = {name.removeprefix("--"): name for name in (*known, *WISHES) if name.startswith("--")}
    near = nearest(option.removeprefix("--"), words)
    if near is None:
        return ""
    also = f" {WISHES[words[near]]}" if words[near] not in known else ""
    return f"; did you mean {words[near]}?{also}"
