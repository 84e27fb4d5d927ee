"""``poplin config``: its commands and their options. What they do is `checking` and `explaining`."""

from __future__ import annotations

import click

from poplin.commands.base import Group, config_option, json_option
from poplin.commands.failures import WrongUsage
from poplin.commands.init import init

__all__ = ["check", "config"]


@click.group(
    cls=Group,
    help="Write, check and explain the configuration.",
    examples=("poplin config check", "poplin config explain limits.autologout"),
)
def config() -> None:
    """Write, check and explain the configuration."""


config.add_command(init)


@config.command(
    "check",
    help="Check the configuration, without starting anything. FILE - reads standard input.",
    examples=("poplin config check", "poplin config check poplin.toml --json", "poplin config check - < poplin.toml"),
)
@click.argument("file", required=False)
@config_option
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@json_option
def check(file: str | None, config: str | None, strict: bool) -> int:
    """Check the configuration: everything that is wrong with it, or what it comes to."""
    if file and config:
        raise WrongUsage("give FILE or --config FILE, not both")
    from poplin.commands.checking import run_check

    return run_check(file or config, strict=strict)


@config.command(
    "explain",
    help="Say what a key means: its type, default, allowed values, an example. Without KEY: all keys.",
    examples=("poplin config explain listener.tls", "poplin config explain limits --json"),
)
@click.argument("key", required=False)
@json_option
def explain(key: str | None) -> None:
    """Say what a key, or each key of a table, means."""
    from poplin.commands.explaining import run_explain

    run_explain(key)
