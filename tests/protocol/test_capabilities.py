"""CAPA's lines (RFC 2449 section 6): what is said, and in which form."""

import re

import pytest

from poplin.protocol.capabilities import Capability, Facts, capabilities


def lines(facts: Facts) -> list[str]:
    return [str(capability) for capability in capabilities(facts)]


def test_the_least_and_the_most() -> None:
    assert lines(Facts(user=False, sasl=(), starttls=False)) == [
        "TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING",
    ]  # fmt: skip
    most = Facts(
        user=True,
        sasl=("LOGIN", "PLAIN"),
        starttls=True,
        implementation="poplin",
        custom=(Capability("X", ("1", "2")),),
    )
    assert lines(most) == [
        "TOP", "UIDL", "USER", "SASL LOGIN PLAIN", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "STLS", "X 1 2",
        "IMPLEMENTATION poplin",
    ]  # fmt: skip


@pytest.mark.parametrize("user", [True, False])
@pytest.mark.parametrize("sasl", [(), ("PLAIN",), ("LOGIN", "PLAIN")])
@pytest.mark.parametrize("starttls", [True, False])
def test_only_what_is_true_is_said(user: bool, sasl: tuple[str, ...], starttls: bool) -> None:
    said = lines(Facts(user=user, sasl=sasl, starttls=starttls))
    assert ("USER" in said) is user
    assert any(line.startswith("SASL") for line in said) is bool(sasl)
    assert ("STLS" in said) is starttls
    assert not any(line.startswith("IMPLEMENTATION") for line in said)
    assert len(said) == len(set(said))


def test_a_class_of_methods_may_leave_top_and_uidl_out() -> None:
    assert lines(Facts(user=False, sasl=(), starttls=False, top=False, uidl=True))[:2] == ["UIDL", "RESP-CODES"]
    assert lines(Facts(user=False, sasl=(), starttls=False, top=True, uidl=False))[:2] == ["TOP", "RESP-CODES"]


def test_a_line_keeps_to_the_grammar() -> None:
    """RFC 2449 section 3: a tag of letters, digits, dots and hyphens; arguments behind single blanks."""
    for line in lines(Facts(user=True, sasl=("SCRAM-SHA-256",), starttls=True, implementation="poplin")):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.\-]*( [\x21-\x7E]+)*", line)
        assert not line.startswith(".")
