"""``poplin serve``: its options. What it does is `serving`, loaded when it is done and not for ``--help``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from poplin.commands.base import Command, config_option

__all__ = ["serve"]


@click.command(
    cls=Command,
    help="Run the server until Ctrl-C.",
    examples=(
        "poplin serve",
        "poplin serve --listen 127.0.0.1:0 --ready-file ready",
        "poplin serve --config poplin.toml --quiet",
    ),
)
@config_option
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    multiple=True,
    help="Listen here instead; again for more. Port 0 takes any free one. STLS is offered if there is a certificate.",
)
@click.option("--ready-file", metavar="PATH", help="Write the addresses here once they answer; removed at the end.")
@click.option("--init", "first", is_flag=True, help="Where there is no configuration, first do as poplin init does.")
def serve(config: str | None, listen: Sequence[str], ready_file: str | None, first: bool) -> None:
    """Run the server until Ctrl-C."""
    from poplin.commands.serving import Wishes, run_server

    run_server(Wishes(config, tuple(listen), ready_file, first))
