"""Counts of what happens, as data and as Prometheus reads them; a client cannot make them grow without end."""

import re

from conversations.wires import step
from poplin.identity import ClientFacts
from poplin.maildrops.base import Ending
from poplin.plugins.events import AuthenticationRefused, Connected, Disconnected, Event, PluginFailed
from poplin.plugins.metrics import Metrics
from poplin.plugins.pipeline import Pipeline
from support.talking import LOGIN, a_world, talk


def test_the_counts_of_a_session() -> None:
    world = a_world()
    world.boxes["mrose"].stuck.add("uid-2")
    metrics = Metrics()
    talk(
        b"AUTH PLAIN\r\n*\r\nUSER eve\r\nPASS x\r\n" + LOGIN + b"xyzzy\r\nRETR 1\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n",
        metrics,
        world=world,
    )
    assert metrics.values == {
        'poplin_commands_total{command="AUTH"}': 2,
        'poplin_commands_total{command="DELE"}': 2,
        'poplin_commands_total{command="PASS"}': 2,
        'poplin_commands_total{command="QUIT"}': 1,
        'poplin_commands_total{command="RETR"}': 1,
        'poplin_commands_total{command="USER"}': 2,
        'poplin_commands_total{command="other"}': 1,
        "poplin_connections_total": 1,
        'poplin_logins_total{mechanism="USER",outcome="accepted"}': 1,
        'poplin_logins_total{mechanism="USER",outcome="refused"}': 1,
        "poplin_messages_removed_total": 1,
        "poplin_messages_retrieved_total": 1,
        "poplin_octets_retrieved_total": 40,
        "poplin_removals_failed_total": 1,
        'poplin_replies_total{status="challenge"}': 1,
        'poplin_replies_total{status="error"}': 4,
        'poplin_replies_total{status="ok"}': 6,
        "poplin_sessions": 0,
        'poplin_sessions_ended_total{ending="quit"}': 1,
    }


def test_the_text_for_prometheus() -> None:
    metrics = Metrics()
    talk(b"NOOP\r\n", metrics)
    text = metrics.prometheus()
    assert text.endswith("\n")
    names: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            names.append(line.split()[2])
        elif not line.startswith("# HELP "):
            assert re.fullmatch(r'[a-z_]+(\{[a-z]+="[\w-]+"(,[a-z]+="[\w-]+")*\})? \d+', line), line
            assert line.startswith(names[-1]), "each sample stands below its own heading"
    assert len(names) == len(set(names)) == 11
    assert "poplin_messages_removed_total 0" in text, "what has not happened yet is there too"
    assert 'poplin_commands_total{command="NOOP"} 1' in text


def test_sessions_held() -> None:
    metrics = Metrics()
    pipeline = Pipeline([metrics])
    first, second = ClientFacts(session_id="a-1"), ClientFacts(session_id="a-2")
    for event in (Connected(first), Connected(second), Disconnected(first, Ending.QUIT)):
        step(pipeline.event(event))
    assert metrics.values["poplin_sessions"] == 1
    step(pipeline.event(Disconnected(ClientFacts(session_id="before"), Ending.QUIT)))
    assert metrics.values["poplin_sessions"] == 1, "one that began before the plugin was added"
    pipeline.remove(metrics)
    assert metrics.values["poplin_sessions"] == 0


def test_failures_of_plugins() -> None:
    metrics = Metrics()
    step(Pipeline([metrics]).event(PluginFailed("x", "on_reply", RuntimeError("x"))))
    assert metrics.values["poplin_plugin_failures_total"] == 1


def test_a_client_makes_no_labels() -> None:
    metrics = Metrics()
    pipeline = Pipeline([metrics])
    odd = ['x"} 1\n', "é", "", *(f"MADE-UP-{number}" for number in range(100))]
    for mechanism in odd:
        step(pipeline.event(AuthenticationRefused(ClientFacts(), "x", mechanism)))
    logins = [name for name in metrics.values if name.startswith("poplin_logins")]
    assert len(logins) <= 33
    assert metrics.values['poplin_logins_total{mechanism="other",outcome="refused"}'] == 3 + 100 - 32
    talk(b"".join(b"x%d\r\n" % number for number in range(15)), metrics)
    assert metrics.values['poplin_commands_total{command="other"}'] == 15


def test_a_copy_is_given() -> None:
    metrics = Metrics()
    before = metrics.values
    step(Pipeline([metrics]).event(Connected(ClientFacts())))
    assert before == {"poplin_sessions": 0}


def test_an_event_of_somebodys_own_is_not_counted() -> None:
    class Own(Event):
        """Nothing that we know."""

    metrics = Metrics()
    step(Pipeline([metrics]).event(Own()))
    assert metrics.values == {"poplin_sessions": 0}
