"""Fixtures that every test may ask for, and the line that says what the tests run on.

The event loop is chosen by ``POPLIN_LOOP`` (asyncio or uvloop; poplin's own runner reads it): a test that
needs a loop of its own runs its coroutine by ``run_async``, and a server runs in a thread by ``serve``.
"""

import contextlib
import contextvars
import importlib.util
import os
import platform
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import trustme

from poplin.server.running import runner
from support import corpus
from support.serving import Certificate, Serve, serving

T = TypeVar("T")

# Helpers whose assertions speak as a test's do.
pytest.register_assert_rewrite("support.daemon", "clients.everyone")


def pytest_report_header() -> str:
    wish = os.environ.get("POPLIN_LOOP") or ("uvloop" if importlib.util.find_spec("uvloop") else "asyncio")
    required = ", missing programs are failures" if os.environ.get("POPLIN_REQUIRE") == "1" else ""
    return f"poplin: Python {platform.python_version()}, event loop {wish}{required}"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Each test has a context of its own: the session that one test says is current is nobody's in the next."""
    runner_plugin = item.config.pluginmanager.getplugin("runner")
    assert runner_plugin is not None
    return bool(contextvars.copy_context().run(runner_plugin.pytest_runtest_protocol, item, nextitem))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for localhost and 127.0.0.1, and the file of the authority that made it."""
    authority = trustme.CA()
    # Some clients look for the name in the common name alone.
    issued = authority.issue_cert("localhost", "127.0.0.1", "::1", common_name="localhost")
    folder = tmp_path_factory.mktemp("certificate")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(folder / "certificate.pem", append=number > 0)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return Certificate(folder, context)


@pytest.fixture
def serve(certificate: Certificate) -> Iterator[Serve]:
    """Starts a server on loopback in a thread, on cleartext, STLS and implicit TLS; stopped when the test ends.

    ``serve(maildrops, authenticator, policy=…, limits=…, plugins=…)`` gives the ports by the name of the TLS mode.
    """
    with contextlib.ExitStack() as stack:
        yield serving(stack, certificate)


@pytest.fixture
def run_async() -> Callable[[Awaitable[T]], T]:
    """Runs a coroutine to its end on the loop that ``POPLIN_LOOP`` names."""

    def run(awaitable: Awaitable[T]) -> T:
        async def wait() -> T:
            return await awaitable

        with runner() as loop_runner:
            return loop_runner.run(wait())

    return run


@pytest.fixture(scope="session")
def nasty_messages() -> dict[str, bytes]:
    """Messages that some server or client gets wrong, by name, as they are stored."""
    return corpus.nasty_messages()


@pytest.fixture(scope="session")
def real_mail() -> dict[str, bytes]:
    """Real messages from ``POPLIN_MAIL``, by name, as they are stored."""
    return corpus.real_messages()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory for a foreign program: short, empty and its own."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder
