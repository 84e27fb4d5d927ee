"""Octets into lines: every bound, every split."""

from hypothesis import given
from hypothesis import strategies as st

from poplin.protocol.lines import TOO_LONG, LineBuffer

BOUND = 5
# Few different octets, so that line ends and bounds are met often.
octets = st.lists(st.sampled_from([b"\r", b"\n", b"\0", b"a", b"bcdef", b"\r\n"]), max_size=30).map(b"".join)


def lines_of(pieces: list[bytes], bound: int = BOUND) -> list[object]:
    buffer = LineBuffer()
    lines = []
    for piece in pieces:
        buffer.feed(piece)
        while (line := buffer.next_line(bound)) is not None:
            lines.append(line)
    return lines


def reference(data: bytes, bound: int = BOUND) -> list[object]:
    """The lines, the slow and plain way."""
    lines = [line.removesuffix(b"\r") for line in data.split(b"\n")[:-1]]
    return [line if len(line) <= bound else TOO_LONG for line in lines]


def test_a_line_ends_at_crlf_and_at_bare_lf() -> None:
    assert lines_of([b"one\r\ntwo\n\r\n\n"]) == [b"one", b"two", b"", b""]


def test_a_cr_elsewhere_and_a_nul_are_octets_of_the_line() -> None:
    assert lines_of([b"a\rb\r\r\n\0c\0\r\n"]) == [b"a\rb\r", b"\0c\0"]


def test_what_is_no_whole_line_waits() -> None:
    buffer = LineBuffer()
    buffer.feed(b"half")
    assert buffer.next_line(BOUND) is None
    assert buffer.waiting == 4
    assert buffer.midline
    buffer.feed(b"\r\n")
    assert buffer.next_line(BOUND) == b"half"
    assert buffer.waiting == 0
    assert not buffer.midline


def test_the_bound_counts_the_line_without_its_end() -> None:
    assert lines_of([b"12345\r\n123456\r\n12345\n123456\n"]) == [b"12345", TOO_LONG, b"12345", TOO_LONG]


def test_an_overlong_line_is_told_once_when_it_ends() -> None:
    buffer = LineBuffer()
    for _ in range(1000):
        buffer.feed(b"x" * 100)
        assert buffer.next_line(BOUND) is None
        assert buffer.waiting <= 100
        assert buffer.midline
    buffer.feed(b"\r\nnext\r\n")
    assert buffer.next_line(BOUND) is TOO_LONG
    assert buffer.next_line(BOUND) == b"next"
    assert buffer.next_line(BOUND) is None


def test_a_line_just_within_the_bound_whose_cr_has_come_is_kept() -> None:
    assert lines_of([b"12345\r", b"\n"]) == [b"12345"]
    assert lines_of([b"12345", b"\r", b"\n"]) == [b"12345"]


def test_take_gives_everything_and_clear_forgets_it() -> None:
    buffer = LineBuffer()
    buffer.feed(b"one\r\ntwo")
    assert buffer.next_line(BOUND) == b"one"
    assert buffer.take() == b"two"
    assert buffer.take() == b""
    buffer.feed(b"x" * 50)
    assert buffer.next_line(BOUND) is None
    buffer.clear()
    assert not buffer.midline
    buffer.feed(b"new\r\n")
    assert buffer.next_line(BOUND) == b"new"


@given(octets, st.data())
def test_any_split_gives_the_same_lines(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=8)))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert lines_of(pieces) == reference(data)


@given(octets)
def test_octet_by_octet_gives_the_same_lines(data: bytes) -> None:
    assert lines_of([bytes([octet]) for octet in data]) == reference(data)
