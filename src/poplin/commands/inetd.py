"""``poplin inetd``: one session on standard input and output, for inetd, systemd's Accept=yes, or a pipe."""

from __future__ import annotations

from typing import Literal

import click

from poplin.commands.base import Command, config_option, output
from poplin.commands.failures import Failure

__all__ = ["inetd"]


@click.command(
    cls=Command,
    help="Serve one session on standard input and output (a socket or pipes).",
    examples=("printf 'QUIT\\r\\n' | poplin inetd", "printf 'CAPA\\r\\nQUIT\\r\\n' | poplin inetd --quiet"),
)
@config_option
@click.option(
    "--tls",
    type=click.Choice(["none", "starttls", "implicit"]),
    help="As for a listener. [default: starttls if there is a certificate]",
)
def inetd(config: str | None, tls: Literal["none", "starttls", "implicit"] | None) -> None:
    """Serve one session on standard input and output."""
    from poplin.commands.configured import reported, source
    from poplin.daemon import assembly, load, logs
    from poplin.daemon import inetd as single

    shared = output()
    with reported():
        configuration = load.load(source(config))
        mode = tls or ("starttls" if configuration.tls else "none")
        if mode != "none" and not configuration.tls:
            raise Failure(
                "configuration-invalid", f"--tls {mode} needs a certificate", "set tls.certificate and tls.key"
            )
        server = assembly.build(configuration)
        context = assembly.tls_context(configuration) if mode != "none" else None
    logs.install(shared.verbosity, logs.descriptor_beside(0, 1))
    single.serve(server, mode, context)
