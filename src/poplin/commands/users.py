"""``poplin user``: add, change, remove and list the users of the configuration's password file."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from poplin.authentication import schemes
from poplin.authentication.password_editing import ListedUser, NameTaken, NameUnknown, PasswordFileEditor
from poplin.authentication.user_names import NameRule, check_user_name
from poplin.commands.asking import Secret, confirm, secret, secret_options, stored
from poplin.commands.base import Group, config_option, json_option, output
from poplin.commands.configured import configuration
from poplin.commands.failures import Failure, WrongUsage
from poplin.commands.output import size
from poplin.daemon.settings import BackendSettings, Configuration
from poplin.errors import Error, TemporaryFailure
from poplin.identity import ClientFacts, Identity
from poplin.maildrops.base import Ending, Maildrop, OpenRequest
from poplin.maildrops.maildir import Maildirs, make_maildir
from poplin.maildrops.maildir_paths import path_from

__all__ = ["user"]


@dataclass(frozen=True, slots=True)
class _Base:
    """The user base that is edited, and the configuration around it."""

    configuration: Configuration
    settings: BackendSettings
    editor: PasswordFileEditor

    @property
    def shown(self) -> str:
        """Its path, as the configuration has it."""
        return self.settings.shown

    def maildir(self, user: str) -> Path | None:
        """Where the user's Maildir is, if maildrops are Maildirs and the user base does not have to say."""
        settings = self.configuration.maildrop_of(user)
        if settings.type != "maildir" or "{home}" in settings.path:
            return None
        with contextlib.suppress(Error):
            return Path(path_from(settings.path)(Identity(user)))
        return None

    def told(self, path: Path) -> str:
        """A path as the operator wrote it: relative to the folder of the configuration."""
        with contextlib.suppress(ValueError):
            return str(path.relative_to(self.configuration.folder))
        return str(path)


def _base(config: str | None) -> _Base:
    """The first password file of the configuration.

    Raises:
        Failure: there is none, so users are kept where this command cannot write.
    """
    found = configuration(config)
    for settings in found.backends:
        if settings.type == "password-file":
            rule = NameRule(found.normalise, found.default_domain)
            return _Base(found, settings, PasswordFileEditor(str(settings.path), rule))
    kind = found.backends[0].type
    raise Failure("not-editable", f"users come from {kind} (read-only here)", "change them there")


def _name(base: _Base, name: str) -> str:
    """The name in its one spelling.

    Raises:
        WrongUsage: it can be no user's.
    """
    spelled = base.editor.names(name)
    if complaint := check_user_name(spelled):
        raise WrongUsage(complaint)
    return spelled


@contextlib.contextmanager
def _editing(base: _Base) -> Iterator[None]:
    """Turn what can go wrong with the file into the command's failure."""
    try:
        yield
    except TemporaryFailure as error:
        raise Failure("in-use", str(error).rpartition("; ")[0] or str(error), "try again") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Failure("not-written", f"cannot change {base.shown}: {reason}") from None


def _tell(done: str, secret: Secret, **facts: object) -> None:
    """What was done; a password that was made up stands alone on standard output."""
    shared = output()
    if shared.json:
        shared.document(**facts, **({"password": secret.password} if secret.is_generated else {}))
    elif secret.is_generated:
        shared.note(done)
        shared.data(secret.password)
    elif shared.verbosity >= 0:
        shared.data(done)


@click.group(
    cls=Group,
    help="Add, change, remove and list users of a password file.",
    examples=("poplin user add alice --generate", "poplin user list"),
)
def user() -> None:
    """Add, change, remove and list users of a password file."""


@user.command(
    "add",
    help="Add a user, and make the maildrop.",
    examples=("poplin user add bob --generate", "echo secret-7 | poplin user add carol --password-stdin"),
)
@click.argument("name")
@secret_options
@click.option("--if-missing", is_flag=True, help="Do nothing if the user is there already.")
@config_option
@json_option
def add(name: str, stdin: bool, generate: bool, if_missing: bool, config: str | None) -> None:
    """Add a user, and make the maildrop."""
    base = _base(config)
    name = _name(base, name)
    with contextlib.suppress(OSError):  # there may be no file yet
        if any(listed.user == name for listed in base.editor.users()):
            if not if_missing:
                raise _is_there(name)
            _tell(f"{name} is already there; nothing to do", Secret(""), user=name, added=False)
            return
    new = secret(name, stdin=stdin, generate=generate)
    form = stored(new)
    try:
        with _editing(base):
            base.editor.add(name, form)
    except NameTaken:
        raise _is_there(name) from None
    done = f"added {name} ({schemes.DEFAULT_SCHEME}) to {base.shown}"
    maildir = base.maildir(name)
    if maildir and not maildir.exists():
        try:
            make_maildir(str(maildir))
            done += f"; maildrop {base.told(maildir)} made"
        except Error as error:
            done += f"; maildrop not made: {error}"
    _tell(f"{done}; effective at once", new, user=name, added=True, scheme=schemes.DEFAULT_SCHEME)


def _is_there(name: str) -> Failure:
    return Failure("exists", f"{name} is already there", f"change the password with: poplin user passwd {name}")


def _is_absent(name: str, base: _Base) -> Failure:
    return Failure("not-found", f"{name} is not in {base.shown}", "list the users with: poplin user list")


@user.command(
    "passwd",
    help="Give a user another password.",
    examples=("poplin user passwd demo --generate", "echo secret-8 | poplin user passwd demo --password-stdin"),
)
@click.argument("name")
@secret_options
@config_option
@json_option
def passwd(name: str, stdin: bool, generate: bool, config: str | None) -> None:
    """Give a user another password."""
    base = _base(config)
    name = _name(base, name)
    with _editing(base):
        if not any(listed.user == name for listed in base.editor.users()):
            raise _is_absent(name, base)
    new = secret(name, stdin=stdin, generate=generate)
    form = stored(new)
    try:
        with _editing(base):
            base.editor.replace(name, form)
    except NameUnknown:
        raise _is_absent(name, base) from None
    done = f"changed the password of {name} ({schemes.DEFAULT_SCHEME}) in {base.shown}; effective at the next login"
    _tell(done, new, user=name, changed=True, scheme=schemes.DEFAULT_SCHEME)


@user.command(
    "remove",
    help="Remove a user; the mail stays unless told otherwise.",
    examples=("poplin user remove demo --dry-run", "poplin user remove demo --yes"),
)
@click.argument("name")
@click.option("--purge-mail", is_flag=True, help="Remove the mail too; it cannot be brought back.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@config_option
@json_option
def remove(name: str, purge_mail: bool, yes: bool, dry_run: bool, config: str | None) -> None:
    """Remove a user; the mail stays unless told otherwise."""
    base = _base(config)
    name = _name(base, name)
    with _editing(base):
        if not any(listed.user == name for listed in base.editor.users()):
            raise _is_absent(name, base)
    maildir = base.maildir(name)
    mail = _mail_of(maildir)
    shared = output()
    if purge_mail and maildir is None:
        raise Failure("not-editable", "this maildrop is not a Maildir of a known place", "leave --purge-mail out")
    where = base.told(maildir) if maildir else ""
    if mail.messages:
        stays = f"would go from {where}" if purge_mail else f"stay in {where}; --purge-mail removes them too"
        shared.note(f"{name}: {mail.messages} message{'s' if mail.messages > 1 else ''} ({size(mail.octets)}) {stays}")
    if dry_run:
        purged = f" and {mail.messages} messages in {where}" if purge_mail else ""
        _tell(f"would remove {name} from {base.shown}{purged}", Secret(""), user=name, removed=False, dry_run=True)
        return
    if not yes:
        confirm(name, base.shown, purge_mail=purge_mail)
    _remove(base, name, maildir if purge_mail else None)
    purged = f", and {mail.messages} messages of {where}" if purge_mail else ""
    _tell(f"removed {name}{purged}", Secret(""), user=name, removed=True, purged=mail.messages if purge_mail else 0)


def _remove(base: _Base, name: str, maildir: Path | None) -> None:
    """First the record, so that nobody logs in any more; then, alone with the Maildir, the mail."""
    held = _hold(base, name, maildir) if maildir and maildir.is_dir() else None
    try:
        with _editing(base):
            base.editor.remove(name)
        if maildir and maildir.is_dir():
            shutil.rmtree(maildir)
    except NameUnknown:
        raise _is_absent(name, base) from None
    except OSError as error:
        raise Failure(
            "not-written", f"removed {name}, but not all mail: {(error.strerror or str(error)).lower()}"
        ) from None
    finally:
        if held:
            held.close(Ending.STOPPED)


def _hold(base: _Base, name: str, maildir: Path) -> Maildrop:
    """The Maildir, locked as a session locks it."""
    try:
        return Maildirs(lambda _: str(maildir)).open(OpenRequest(identity=Identity(name), client=ClientFacts()))
    except Error:
        raise Failure("in-use", f"a session of {name} is using {base.told(maildir)}", "try again later") from None


@dataclass(frozen=True, slots=True)
class _Mail:
    messages: int = 0
    octets: int = 0


def _mail_of(maildir: Path | None) -> _Mail:
    """What is in the Maildir, sub-folders left out."""
    messages = octets = 0
    for folder in ("new", "cur"):
        with contextlib.suppress(OSError):
            for path in (maildir / folder).iterdir() if maildir else ():
                if path.is_file() and not path.name.startswith("."):
                    messages += 1
                    octets += path.stat().st_size
    return _Mail(messages, octets)


@user.command("list", help="List the users.", examples=("poplin user list", "poplin user list --json"))
@config_option
@json_option
def list_users(config: str | None) -> None:
    """List the users."""
    base = _base(config)
    shared = output()
    try:
        users: list[ListedUser] = base.editor.users()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Failure("configuration-unreadable", f"cannot read {base.shown}: {reason}") from None
    if shared.json:
        shared.document(users=[{"user": one.user, "scheme": one.scheme, "line": one.line} for one in users])
        return
    width = max([len(one.user) for one in users] + [len("USER")])
    if users:
        shared.data(f"{'USER':<{width}}  PASSWORD")
    for one in users:
        shared.data(f"{one.user:<{width}}  {one.scheme or 'broken'}")
    shared.note(f"{len(users)} user{'' if len(users) == 1 else 's'} in {base.shown}")
