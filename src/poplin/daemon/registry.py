"""The names that a configuration gives to implementations. Here alone are they chosen, and loaded only then."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poplin.authentication.base import Authenticator
from poplin.daemon.settings import BackendSettings, Configuration, MaildropSettings
from poplin.errors import ConfigurationError
from poplin.maildrops.base import Opener

__all__ = ["authenticator", "load_object", "opener"]


def load_object(name: str, folder: Path) -> Any:  # noqa: ANN401  # the operator's own
    """The object that ``python:module.name`` means; modules beside the configuration are found too.

    Raises:
        ConfigurationError: there is no such module or name, or its import fails.
    """
    module, _, attribute = name.removeprefix("python:").rpartition(".")
    place = os.fspath(folder)
    if place not in sys.path:
        sys.path.append(place)  # last: nothing installed is hidden by it
    try:
        return getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise ConfigurationError(f"module {module} has no {attribute}") from None
    except Exception as error:  # whatever the operator's module raises at import
        text = " ".join(str(error).split()) or type(error).__name__
        raise ConfigurationError(f"cannot import {module}: {text}") from error


def _password_file(settings: BackendSettings, configuration: Configuration) -> Authenticator:
    from poplin.authentication.password_file import PasswordFile
    from poplin.authentication.user_names import NameRule

    return PasswordFile(settings.path, NameRule(configuration.normalise, configuration.default_domain))


def _python_authenticator(settings: BackendSettings, configuration: Configuration) -> Authenticator:
    from poplin.authentication.callbacks import CallbackAuthenticator
    from poplin.authentication.user_names import NameRule
    from poplin.daemon.wrappers import Normalised

    function = load_object(settings.type, configuration.folder)
    if not callable(function):
        raise ConfigurationError(f"{settings.type.removeprefix('python:')} is no function")
    rule = NameRule(configuration.normalise, configuration.default_domain)
    try:
        return Normalised(CallbackAuthenticator(authenticate=function), rule)
    except TypeError as error:
        raise ConfigurationError(f"{settings.type.removeprefix('python:')}: {error}") from None


def _maildir(settings: MaildropSettings, configuration: Configuration) -> Opener:
    from poplin.maildrops.maildir import Maildirs

    try:
        return Maildirs(settings.path, inline_octets=configuration.limits.inline_octets)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def _memory(settings: MaildropSettings, configuration: Configuration) -> Opener:
    from poplin.maildrops.memory import MemoryMaildrops

    del settings, configuration
    return MemoryMaildrops()


def _python_opener(settings: MaildropSettings, configuration: Configuration) -> Opener:
    maker = load_object(settings.type, configuration.folder)
    name = settings.type.removeprefix("python:")
    try:
        made: Opener = maker(path=settings.path) if settings.path else maker()
    except Exception as error:  # whatever the operator's class raises
        raise ConfigurationError(f"{name} cannot be made: {' '.join(str(error).split())}") from error
    if not callable(getattr(made, "open", None)):
        raise ConfigurationError(f"{name} has no open(): it is no maildrop opener")
    return made


_AUTHENTICATORS: dict[str, Callable[[BackendSettings, Configuration], Authenticator]] = {
    "password-file": _password_file,
    "python": _python_authenticator,
}
_OPENERS: dict[str, Callable[[MaildropSettings, Configuration], Opener]] = {
    "maildir": _maildir,
    "memory": _memory,
    "python": _python_opener,
}


def authenticator(settings: BackendSettings, configuration: Configuration) -> Authenticator:
    """The user base that `settings` describe.

    Raises:
        ConfigurationError: it cannot be made; the text says why.
    """
    return _AUTHENTICATORS[settings.type.partition(":")[0]](settings, configuration)


def opener(settings: MaildropSettings, configuration: Configuration) -> Opener:
    """The maildrops that `settings` describe.

    Raises:
        ConfigurationError: they cannot be made; the text says why.
    """
    return _OPENERS[settings.type.partition(":")[0]](settings, configuration)
