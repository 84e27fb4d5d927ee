"""poplin: a POP3 server toolkit. Serve any source of messages over POP3, and a production daemon built on it.

Names are resolved when they are first touched, so that ``import poplin`` costs nothing that is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poplin.authentication.base import Authenticator as Authenticator
    from poplin.authentication.base import Credentials as Credentials
    from poplin.callbacks import Callbacks as Callbacks
    from poplin.calling import blocking as blocking
    from poplin.command_server import CommandServer as CommandServer
    from poplin.content import Content as Content
    from poplin.content import Form as Form
    from poplin.errors import AuthenticationFailed as AuthenticationFailed
    from poplin.errors import ConfigurationError as ConfigurationError
    from poplin.errors import Error as Error
    from poplin.errors import InUse as InUse
    from poplin.errors import LoginTooSoon as LoginTooSoon
    from poplin.errors import MessageGone as MessageGone
    from poplin.errors import PermanentFailure as PermanentFailure
    from poplin.errors import Refused as Refused
    from poplin.errors import TemporaryFailure as TemporaryFailure
    from poplin.identity import ClientFacts as ClientFacts
    from poplin.identity import Identity as Identity
    from poplin.identity import current_session as current_session
    from poplin.limits import Limits as Limits
    from poplin.maildrops.base import Ending as Ending
    from poplin.maildrops.base import Entry as Entry
    from poplin.maildrops.base import Maildrop as Maildrop
    from poplin.maildrops.base import Opener as Opener
    from poplin.maildrops.base import OpenRequest as OpenRequest
    from poplin.maildrops.base import Removal as Removal
    from poplin.maildrops.base import Scan as Scan
    from poplin.plugins.base import Continue as Continue
    from poplin.plugins.base import Deliver as Deliver
    from poplin.plugins.base import Plugin as Plugin
    from poplin.plugins.base import Swallow as Swallow
    from poplin.plugins.events import Event as Event
    from poplin.protocol.states import State as State
    from poplin.server.background import BackgroundServer as BackgroundServer
    from poplin.server.hub import Listener as Listener
    from poplin.server.server import Server as Server
    from poplin.session.service import Policy as Policy

__version__ = "0.1.0"

_HOMES = {
    "AuthenticationFailed": "poplin.errors",
    "Authenticator": "poplin.authentication.base",
    "BackgroundServer": "poplin.server.background",
    "Callbacks": "poplin.callbacks",
    "ClientFacts": "poplin.identity",
    "CommandServer": "poplin.command_server",
    "ConfigurationError": "poplin.errors",
    "Content": "poplin.content",
    "Continue": "poplin.plugins.base",
    "Credentials": "poplin.authentication.base",
    "Deliver": "poplin.plugins.base",
    "Ending": "poplin.maildrops.base",
    "Entry": "poplin.maildrops.base",
    "Error": "poplin.errors",
    "Event": "poplin.plugins.events",
    "Form": "poplin.content",
    "Identity": "poplin.identity",
    "InUse": "poplin.errors",
    "Limits": "poplin.limits",
    "Listener": "poplin.server.hub",
    "LoginTooSoon": "poplin.errors",
    "Maildrop": "poplin.maildrops.base",
    "MessageGone": "poplin.errors",
    "OpenRequest": "poplin.maildrops.base",
    "Opener": "poplin.maildrops.base",
    "PermanentFailure": "poplin.errors",
    "Plugin": "poplin.plugins.base",
    "Policy": "poplin.session.service",
    "Refused": "poplin.errors",
    "Removal": "poplin.maildrops.base",
    "Scan": "poplin.maildrops.base",
    "Server": "poplin.server.server",
    "State": "poplin.protocol.states",
    "Swallow": "poplin.plugins.base",
    "TemporaryFailure": "poplin.errors",
    "blocking": "poplin.calling",
    "current_session": "poplin.identity",
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - every key is a str


if not TYPE_CHECKING:  # a checker that saw it would take every misspelt name for an object

    def __getattr__(name: str) -> object:
        home = _HOMES.get(name)
        if home is None:
            import difflib

            near = difflib.get_close_matches(name, _HOMES, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise AttributeError(f"module 'poplin' has no attribute {name!r}{hint}")
        import importlib

        value: object = getattr(importlib.import_module(home), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
