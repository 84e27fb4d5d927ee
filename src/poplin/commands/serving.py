"""What ``poplin serve`` does: check everything, open everything, and only then say that it listens."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from poplin import __version__
from poplin.commands import starting
from poplin.commands.base import output
from poplin.commands.configured import reported, source
from poplin.commands.failures import Failure, WrongUsage
from poplin.commands.output import Output, age, size
from poplin.commands.serve_lines import Offer, listener_line, try_line
from poplin.daemon import assembly, certificates, load, logs, ports, values
from poplin.daemon.inspection import inspect
from poplin.daemon.run import Run, raise_descriptor_limit
from poplin.daemon.settings import Configuration, ListenerSettings, TlsMode, build
from poplin.daemon.starter import Start
from poplin.server.addresses import ListenErrors
from poplin.server.hub import Totals
from poplin.server.server import Progress, Server

__all__ = ["Wishes", "run_server"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options: the configuration, the addresses that stand in for its listeners, the ready file, and whether a
    first configuration may be made."""

    config: str | None = None
    listen: tuple[str, ...] = ()
    ready_file: str | None = None
    first: bool = False


@dataclass(slots=True)
class _Teller:
    """Tells what the server does; see `poplin.daemon.run.Reporter`."""

    output: Output
    configuration: Configuration
    listeners: Sequence[ListenerSettings]
    account: str = ""
    """The account to try, with its password if that was made just now."""
    offers: list[Offer] = field(default_factory=list)

    def listening(self, addresses: Sequence[str]) -> None:
        tls = self.configuration.tls
        certificate = certificates.facts(tls.certificate) if tls else None
        for address in addresses:
            self.output.data(f"listening on {address}")
        self.offers = [
            Offer(address, settings, certificate if settings.tls != "none" else None)
            for address, settings in zip(addresses, self.listeners, strict=True)
        ]
        lines = [listener_line(offer, self.configuration.allow_cleartext) for offer in self.offers]
        if len(lines) > 4:  # eight lines at a start, no more
            lines = [*lines[:3], f"and {len(lines) - 3} more: poplin config check"]
        tried = try_line(self.offers, self.account) if self.account else None
        for line in (*lines, tried, "Ctrl-C stops"):
            if line:
                self.output.note(line)

    def stopping(self, progress: Progress) -> None:
        if not progress.sessions:
            return
        sessions = f"{progress.sessions} session{'s' if progress.sessions > 1 else ''}"
        waits = ""
        if progress.busy:
            waits = f", waiting for {progress.busy}, at most {progress.seconds:g} s; Ctrl-C again to stop now"
        self.output.note(f"stopping: {sessions}; {progress.ended} idle ended{waits}")

    def stopped(self, totals: Totals, seconds: float) -> None:
        def some(number: int, thing: str) -> str:
            return f"{number} {thing}{'' if number == 1 else 's'}"

        self.output.note(
            f"stopped after {age(seconds)}: {some(totals.sessions, 'session')}, {some(totals.messages, 'message')}, "
            f"{size(totals.octets)} sent, {some(totals.refused_logins, 'refused login')}"
        )


def run_server(wishes: Wishes) -> None:
    """Serve until a signal.

    Raises:
        Failure: nothing was started, and why.
    """
    shared = output()
    for address in wishes.listen:
        complaint = values.address_complaint(address) or values.address_unbuilt(address)
        if complaint:
            raise WrongUsage(f"--listen: {complaint}")
    start = _start(wishes.config) if wishes.first else None
    configuration = _configuration(str(start.configuration) if start else wishes.config)
    shared.crash_folder = str(configuration.state_directory)
    listeners = [_listener(address, configuration) for address in wishes.listen] or list(configuration.listeners)
    if not listeners:
        raise Failure(
            "configuration-invalid", f"{configuration.file}: no [[listener]]; write one, or use --listen ADDRESS:PORT"
        )
    with reported():
        server = assembly.build(configuration, listeners)
    new = " (new)" if start else ""
    shared.note(f"poplin {__version__}, configuration {configuration.file}{new}, 1 worker")
    if start and start.account:
        shared.note(starting.account_line(start))
    if start and start.note:
        shared.note(start.note)
    if warning := raise_descriptor_limit(configuration.limits.connections):
        shared.note(f"warning: {warning}")
    logs.install(shared.verbosity)
    account = f"{start.account}:{start.password}" if start and start.account else _only_user(configuration)
    _run(server, _Teller(shared, configuration, listeners, account), wishes.ready_file)


def _run(server: Server, teller: _Teller, ready_file: str | None) -> None:
    try:
        Run(server, teller, Path(ready_file) if ready_file else None)()
    except ListenErrors as errors:
        *others, last = [ports.explain(error) for error in errors.errors]
        for line in others:
            teller.output.error(f"{click.get_current_context().command_path}: {line}")
        raise Failure.told("cannot-listen", last) from None
    except OSError as error:
        where = error.filename or ready_file or "standard output"
        raise Failure("not-written", f"cannot write {where}: {(error.strerror or str(error)).lower()}") from None


def _start(config: str | None) -> Start | None:
    """Make the first configuration, if there is none."""
    with contextlib.suppress(load.NotFound):
        load.find(config)
        return None
    return starting.make(Path(load.places(config)[0]), starting.ACCOUNT)


def _configuration(config: str | None) -> Configuration:
    """The configuration, held against the world as well: nothing is started on a file that cannot work."""
    found = source(config)
    with reported():
        document = load.read(found)
        inspect(document, found.path.parent)
        if document.errors:
            raise document.invalid()
        return build(document, found.path.parent)


def _listener(address: str, configuration: Configuration) -> ListenerSettings:
    """A listener of the command line: as safe as the configuration allows."""
    tls: TlsMode = "starttls" if configuration.tls else "none"
    return ListenerSettings(address, tls)


def _only_user(configuration: Configuration) -> str:
    """The one account of the user base, to be tried; more than one is nobody's to show."""
    from poplin.authentication.password_editing import PasswordFileEditor

    for backend in configuration.backends:
        if backend.type == "password-file":
            with contextlib.suppress(OSError):
                users = PasswordFileEditor(str(backend.path)).users()
                return users[0].user if len(users) == 1 else ""
    return ""
