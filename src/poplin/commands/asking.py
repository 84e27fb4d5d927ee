"""What only the operator can say: a new password, and whether something may go for good.

A password is never an argument; without a terminal nothing is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import click

from poplin.authentication import schemes
from poplin.commands.failures import Failure, WrongUsage
from poplin.daemon import passwords

__all__ = ["Secret", "confirm", "secret", "secret_options", "stored"]


@dataclass(frozen=True, slots=True)
class Secret:
    """A new password, and whether it was made up here and so has to be shown."""

    password: str = field(repr=False)
    is_generated: bool = False


def secret(name: str, *, stdin: bool, generate: bool) -> Secret:
    """The new password of a user: from standard input, made up, or asked for twice.

    Raises:
        WrongUsage: there is nobody to ask.
        Failure: it is empty, or the two differ.
    """
    if stdin and generate:
        raise WrongUsage("give --password-stdin or --generate, not both")
    if generate:
        return Secret(passwords.generate(), is_generated=True)
    if stdin:
        octets = sys.stdin.buffer.readline()
        return Secret(octets.removesuffix(b"\n").removesuffix(b"\r").decode(errors="surrogateescape"))
    if not sys.stdin.isatty():
        raise WrongUsage("no terminal to ask for the password", "add --password-stdin or --generate")
    import getpass

    try:
        first = getpass.getpass(f"Password for {name}: ")
        again = getpass.getpass("Again: ")
    except (EOFError, KeyboardInterrupt):
        sys.stderr.write("\n")
        raise click.Abort from None
    if first != again:
        raise Failure("cancelled", "the two passwords differ; nothing changed")
    return Secret(first)


def stored(new: Secret) -> str:
    """The form in which a password file keeps it.

    Raises:
        Failure: it is empty, or can be no password.
    """
    try:
        return schemes.make(new.password)
    except ValueError as error:
        raise Failure("cancelled", f"{error}; nothing changed") from None


def secret_options(function: Callable[..., None]) -> Callable[..., None]:
    """The two ways to give a password without a terminal."""
    stdin = click.option("--password-stdin", "stdin", is_flag=True, help="Read the password from standard input.")
    generate = click.option("--generate", is_flag=True, help="Make one up and print it, once and alone.")
    return stdin(generate(function))


def confirm(name: str, where: str, *, purge_mail: bool) -> None:
    """Ask, where somebody can answer; removing mail wants the name typed.

    Raises:
        WrongUsage: nobody can answer.
        click.Abort: the answer is no.
    """
    if not sys.stdin.isatty():
        raise WrongUsage("no terminal to ask on", "add --yes")
    question = f"Type the name to remove {name} and the mail: " if purge_mail else f"Remove {name} from {where}? [y/N] "
    sys.stderr.write(question)
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        answer = ""
    if answer != name if purge_mail else answer.lower() not in {"y", "yes"}:
        raise click.Abort
