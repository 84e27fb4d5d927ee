"""Messages to send: nasty ones made here, real ones read from ``POPLIN_MAIL``; and what of them is on the wire.

`on_the_wire` is written on purpose without poplin's own framing: it is the other opinion in every comparison.
"""

import re
from pathlib import Path

from support.programs import mail_directory

HEADER = b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: %s\r\nMessage-ID: <%s@example.org>\r\n"


def on_the_wire(stored: bytes) -> bytes:
    """The octets a client has after undoing byte-stuffing: LF alone becomes CRLF, the last line is ended."""
    wire = re.sub(rb"(?<!\r)\n", b"\r\n", stored)
    return wire if not wire or wire.endswith(b"\n") else wire + b"\r\n"


def _mail(name: str, body: bytes, extra: bytes = b"") -> bytes:
    return HEADER % (name.encode(), name.encode()) + extra + b"\r\n" + body


def nasty_messages() -> dict[str, bytes]:
    """Messages that some server or client gets wrong, by name, as they are stored."""
    plain = b"first line\r\nsecond line\r\n"
    long_line = b"".join(b"%07d " % number for number in range(12_800))  # 100 KB
    lines = b"".join(b"%06d The quick brown fox jumps over the lazy dog.\r\n" % number for number in range(97_000))
    return {
        "plain": _mail("plain", plain),
        "empty": b"",
        "one-newline": b"\n",
        "header-only": HEADER % (b"header-only", b"header-only"),
        "header-only-no-newline": (HEADER % (b"h", b"h")).removesuffix(b"\r\n"),
        "header-and-blank-line": _mail("header-and-blank-line", b""),
        "lone-dots": _mail("lone-dots", b".\r\n..\r\n...\r\n.\r\nbetween\r\n.\r\n"),
        "first-octet-dot": b".Subject: starts with a dot\r\n\r\n.\r\nbody\r\n",
        "only-a-dot": b".",
        "terminator-inside": _mail("terminator-inside", b"before\r\n.\r\nQUIT\r\n+OK\r\n-ERR\r\nafter\r\n"),
        "last-line-dot": _mail("last-line-dot", b"text\r\n."),
        "no-final-newline": _mail("no-final-newline", b"the end is missing"),
        "blank-lines": _mail("blank-lines", b"\r\n\r\n\r\nx\r\n\r\n\r\n"),
        "bare-lf": _mail("bare-lf", plain).replace(b"\r\n", b"\n"),
        "bare-lf-dots": _mail("bare-lf-dots", b"\n.\n..\n.x\n").replace(b"\r\n", b"\n"),
        "bare-cr": _mail("bare-cr", b"a\rb\r\rc\r\n.\r.\r\nd\r\r\n"),
        "bare-cr-last": _mail("bare-cr-last", b"ends in a bare CR\r"),
        "mixed-line-ends": _mail("mixed-line-ends", b"crlf\r\nlf\ncr\rlf cr\n\rcrcrlf\r\r\n\n.\n"),
        "nul": _mail("nul", b"nul \x00 inside\r\n\x00\r\n.\x00\r\nend\r\n"),
        "controls": _mail("controls", bytes(range(1, 10)) + bytes([11, 12, *range(14, 32), 127]) + b"\r\n"),
        "eight-bit-body": _mail("eight-bit-body", bytes(range(128, 256)) + b"\r\n\xff\xfe\r\n"),
        "eight-bit-header": _mail("eight-bit-header", plain, "X-Name: Grüße aus Köln\r\n".encode()),
        "latin-1-header": _mail("latin-1-header", plain, b"X-Name: Gr\xfc\xdfe\r\n"),
        "long-line": _mail("long-line", long_line + b"\r\nafter\r\n"),
        "long-dots": _mail("long-dots", b"." * 5000 + b"\r\n"),
        "long-header": _mail("long-header", plain, b"X-Long: " + b"word " * 3000 + b"\r\n"),
        "from-line": _mail("from-line", b"From here on\r\n>From there\r\nFrom ann Thu Jan 1 00:00:00 1970\r\n"),
        "no-header": b"\r\nonly a body\r\n",
        "five-megabytes": _mail("five-megabytes", lines),
    }


def real_messages() -> dict[str, bytes]:
    """Every real message by its name; an mbox file is one opaque message like the others."""
    directory = mail_directory()
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.parent != directory)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def a_part_of(messages: dict[str, bytes], every: int) -> dict[str, bytes]:
    """Every n-th message, so that a slow client sees mail of every source in bounded time."""
    return dict(list(messages.items())[::every])


def write_maildir(directory: Path, messages: dict[str, bytes]) -> None:
    """`messages`, in their order, as the new mail of a Maildir."""
    for folder in ("tmp", "new", "cur"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for number, message in enumerate(messages.values()):
        (directory / f"new/{1_700_000_000 + number}.M{number:06}P1.test").write_bytes(message)
