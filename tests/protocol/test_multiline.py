"""The body of a multi-line response: both directions, every form, every cut.

`plain_body` and `plain_top` (written for the conversations, octet by octet) are the reference.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations.wires import plain_body, plain_top
from poplin.content import Form, examine, wire_octets
from poplin.protocol.multiline import TERMINATOR, Decoder, Encoder

# What framing turns on, and little else; sometimes more of it than the search for single dots likes.
bodies = st.lists(
    st.sampled_from(
        [b"\r\n", b"\n", b"\r", b".", b"..", b"\0", b"\xff", b"text", b"\r\n.\r\n", b".\n" * 40, b"x" * 200]
    ),
    max_size=16,
).map(b"".join)
Cuts = st.lists(st.integers(0, 400), max_size=6)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


def encode(pieces: list[bytes], form: Form = Form.ANY, lines: int | None = None) -> tuple[bytes, int]:
    encoder = Encoder(form, lines)
    wire = b"".join([encoder.feed(piece) for piece in pieces]) + encoder.finish()
    return wire, encoder.octets


def decode(pieces: list[bytes]) -> tuple[bytes, bool, bytes]:
    decoder = Decoder()
    body = b""
    for at, piece in enumerate(pieces):
        body += decoder.feed(piece)
        if decoder.complete:
            return body, True, decoder.trailing + b"".join(pieces[at + 1 :])
    return body, False, b""


def normalised(body: bytes) -> bytes:
    """What a client has after RETR: every line ended by CRLF, a bare CR as it was."""
    wire = plain_body(body)[:-3]
    return wire[wire.startswith(b".") :].replace(b"\n..", b"\n.")


def true_forms(body: bytes) -> list[Form]:
    """Every set of promises that holds for `body`."""
    forms = [Form.ANY]
    crlf = wire_octets(body) == len(body)
    undotted = not body.startswith(b".") and b"\n." not in body
    if crlf:
        forms.append(Form.CRLF)
    if b"\r\n" not in body:
        forms.append(Form.LF)
    if undotted:
        forms += [form | Form.UNDOTTED for form in forms]
    return [*forms, examine(body)[1]]


EXAMPLES = {
    b"": b".\r\n",
    b"\n": b"\r\n.\r\n",
    b"\r\n": b"\r\n.\r\n",
    b"\r": b"\r\r\n.\r\n",
    b"x": b"x\r\n.\r\n",
    b".": b"..\r\n.\r\n",
    b".\n": b"..\r\n.\r\n",
    b"a\n.\nb": b"a\r\n..\r\nb\r\n.\r\n",
    b"a\r.b\r\n": b"a\r.b\r\n.\r\n",
    b"a\r\r\n": b"a\r\r\n.\r\n",
    b"\0.\n.\0": b"\0.\r\n..\0\r\n.\r\n",
}


@pytest.mark.parametrize("body", EXAMPLES)
def test_what_is_sent_of_a_body(body: bytes) -> None:
    wire, octets = encode([body])
    assert wire == EXAMPLES[body]
    assert octets == wire_octets(body) == len(normalised(body))


@given(bodies, Cuts)
def test_any_cut_of_a_body_gives_the_octets_of_the_whole(body: bytes, cuts: list[int]) -> None:
    for form in true_forms(body):
        wire, octets = encode(cut(body, cuts), form)
        assert wire == plain_body(body), form
        assert octets == wire_octets(body), form


@given(bodies)
def test_octet_by_octet_too(body: bytes) -> None:
    for form in true_forms(body):
        wire, octets = encode([bytes([octet]) for octet in body], form)
        assert wire == plain_body(body), form
        assert octets == wire_octets(body), form


@given(bodies, Cuts)
def test_a_store_whose_dots_are_doubled_already(body: bytes, cuts: list[int]) -> None:
    stuffed = plain_body(body)[:-3]
    wire, octets = encode(cut(stuffed, cuts), Form.CRLF | Form.STUFFED)
    assert wire == stuffed + TERMINATOR
    assert octets == wire_octets(body)


@given(bodies, st.integers(0, 5), Cuts)
def test_top_is_what_the_slow_reference_says(body: bytes, lines: int, cuts: list[int]) -> None:
    for form in true_forms(body):
        wire, octets = encode(cut(body, cuts), form, lines)
        shown = plain_top(body, lines)
        assert wire == plain_body(shown), form
        assert octets == wire_octets(shown), form


@given(bodies, st.integers(0, 3))
def test_top_octet_by_octet(body: bytes, lines: int) -> None:
    wire, _ = encode([bytes([octet]) for octet in body], lines=lines)
    assert wire == plain_body(plain_top(body, lines))


def test_top_is_satisfied_as_soon_as_it_has_its_lines() -> None:
    encoder = Encoder(lines=1)
    pieces = (b"A: 1\r\n\r\n", b"one\r\n", b"two\r\n")
    satisfied = [(encoder.feed(piece) == piece, encoder.satisfied) for piece in pieces]
    assert satisfied == [(True, False), (True, True), (False, True)]
    assert encoder.finish() == TERMINATOR
    header_only = Encoder(lines=0)
    header_only.feed(b"A: 1\r\n\r\nbody\r\n")
    assert header_only.satisfied
    assert not Encoder().satisfied


def test_a_prefix_of_another_form_comes_before_the_body() -> None:
    encoder = Encoder(Form.LF)
    wire = encoder.feed(b"Received: here\r\n", Form.CRLF) + encoder.feed(b".A: 1\n") + encoder.finish()
    assert wire == b"Received: here\r\n..A: 1\r\n.\r\n"
    assert encoder.octets == len(b"Received: here\r\n.A: 1\r\n")


@given(bodies, Cuts, st.binary(max_size=10))
def test_the_decoder_gives_back_what_the_encoder_took(body: bytes, cuts: list[int], behind: bytes) -> None:
    wire = plain_body(body)
    got, complete, trailing = decode(cut(wire + behind, cuts))
    assert complete
    assert got == normalised(body)
    assert trailing == behind


@given(bodies)
def test_the_decoder_octet_by_octet(body: bytes) -> None:
    got, complete, trailing = decode([bytes([octet]) for octet in plain_body(body)])
    assert (got, complete, trailing) == (normalised(body), True, b"")


@given(bodies)
def test_without_its_terminator_a_body_is_never_complete(body: bytes) -> None:
    """A connection that was cut must not pass off half a message for a whole."""
    wire = plain_body(body)
    for end in {0, 1, len(wire) // 2, len(wire) - 3, len(wire) - 2, len(wire) - 1}:
        assert not decode([wire[: max(end, 0)]])[1]


@given(st.binary(max_size=80), Cuts)
def test_the_decoder_takes_any_octets_alike_however_cut(wire: bytes, cuts: list[int]) -> None:
    """A hostile server's octets too: no exception, and the cut does not matter."""
    assert decode(cut(wire + b"\r\n.\r\n", cuts)) == decode([wire + b"\r\n.\r\n"])
