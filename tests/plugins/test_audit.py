"""The audit log: a line for each thing that matters, which nobody can forge and no secret is in."""

import json
import logging

import pytest

from conversations.wires import step
from poplin.identity import ClientFacts, TlsFacts
from poplin.maildrops.base import Ending
from poplin.plugins.audit import Audit
from poplin.plugins.events import Authenticated, Connected, Disconnected
from poplin.plugins.pipeline import Pipeline
from support.talking import LOGIN, talk


def test_the_lines_of_a_session() -> None:
    lines: list[str] = []
    talk(b"USER eve\r\nPASS planted\r\n" + LOGIN + b"RETR 1\r\nDELE 1\r\nDELE 2\r\nQUIT\r\n", Audit(lines.append))
    rows = [json.loads(line) for line in lines]
    assert [row.pop("event") for row in rows] == ["refused", "login", "retrieved", "removed", "ended"]
    assert {(row.pop("session"), row.pop("address"), row.pop("tls")) for row in rows} == {("t-1", "127.0.0.1", None)}
    assert rows == [
        {"user": "eve", "mechanism": "USER"},
        {"user": "mrose", "mechanism": "USER"},
        {"user": "mrose", "unique_id": "uid-1", "octets": 40},
        {"user": "mrose", "marked": 2, "removed": 2},
        {"ending": "quit"},
    ]
    assert "planted" not in "".join(lines)
    assert "secret" not in "".join(lines)


def test_no_name_forges_a_line() -> None:
    lines: list[str] = []
    name = 'eve"}\n{"event": "login", "user": "root"\x1b\udcff'
    client = ClientFacts("192.0.2.1", tls=TlsFacts("TLSv1.3", "X"), session_id="a-1")
    step(Pipeline([Audit(lines.append)]).event(Authenticated(client, name, "USER")))
    (line,) = lines
    assert line.isascii()
    assert line.isprintable()
    row = json.loads(line)
    assert row["user"] == name
    assert row["tls"] == "TLSv1.3"


def test_it_goes_to_its_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "poplin.audit")
    pipeline = Pipeline([Audit()])
    step(pipeline.event(Connected(ClientFacts())))
    step(pipeline.event(Disconnected(ClientFacts("::1", session_id="100%s"), Ending.DROPPED)))
    assert [(record.name, record.levelname) for record in caplog.records] == [("poplin.audit", "INFO")]
    assert json.loads(caplog.messages[0])["session"] == "100%s"
