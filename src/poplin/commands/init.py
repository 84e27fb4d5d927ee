"""``poplin init``: a configuration that serves at once, and all that it names."""

from __future__ import annotations

from pathlib import Path

import click

from poplin.commands.base import Command, config_option, json_option, output
from poplin.commands.failures import Failure

__all__ = ["init"]


@click.command(
    cls=Command,
    help="Write a first configuration, ready to serve: certificate, users, Maildirs, one account.",
    examples=("poplin init --if-missing", "poplin init --no-account --config new.toml"),
)
@config_option
@click.option("--account", metavar="NAME", default="demo", help="The account to make. [default: demo]")
@click.option("--no-account", is_flag=True, help="Make no account.")
@click.option("--if-missing", is_flag=True, help="Do nothing if there is a configuration already.")
@json_option
def init(config: str | None, account: str, no_account: bool, if_missing: bool) -> None:
    """Write a first configuration."""
    from poplin.commands import starting
    from poplin.daemon import load

    shared = output()
    path = Path(load.places(config)[0])
    if path.exists():
        if not if_missing:
            raise Failure("exists", f"{path} is already there", "check it with: poplin config check")
        if shared.json:
            shared.document(configuration=str(path), made=[], kept=[str(path)])
        else:
            shared.data(f"{path} is already there; nothing to do")
        return
    start = starting.make(path, "" if no_account else account)
    if shared.json:
        shared.document(
            configuration=str(path), made=start.made, kept=start.kept, account=start.account,
            password=start.password, note=start.note,
        )  # fmt: skip
        return
    shared.data(f"made {', '.join(start.made)}")
    if start.kept:
        shared.data(f"kept {', '.join(start.kept)}, which were there already")
    if start.note:
        shared.note(start.note)
    if start.account:
        shared.data(starting.account_line(start))
    shared.data("start it with: poplin serve" if config is None else f"start it with: poplin serve --config {path}")
