"""Garbage with a taste for POP3: octets that come near to what a client says."""

from hypothesis import strategies as st

__all__ = ["garbage", "sessions"]

KEYWORDS = [
    "USER", "PASS", "APOP", "AUTH", "STLS", "CAPA", "STAT", "LIST", "UIDL", "RETR", "DELE", "TOP", "NOOP", "RSET",
    "QUIT", "UTF8", "LANG", "LAST", "*", "+", "", "quit", "Retr",
]  # fmt: skip
ARGUMENTS = [
    "", "mrose", "secret", "wrong", "1", "2", "3", "01", "0", "-1", "4", "99999999999", "1 1", "1 0", "x", "PLAIN",
    "PLAIN AG1yb3NlAHNlY3JldA==", "PLAIN =", "LOGIN", "LOGIN bXJvc2U=", "c2VjcmV0", "\0", "\x7f", "ü", "\udcff",
    "A" * 3000, " ", "1\t", "* *",
]  # fmt: skip

keyword = st.sampled_from(KEYWORDS)
argument = st.sampled_from(ARGUMENTS)
near = st.builds(lambda verb, rest: f"{verb} {rest}".encode("utf-8", "surrogateescape"), keyword, argument)
line = st.one_of(near, near, near, st.binary(max_size=40))
end = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])

garbage = st.lists(st.builds(lambda one, two: one + two, line, end), max_size=25).map(b"".join)
"""What somebody says who knows no manners."""

login = st.sampled_from([b"", b"", b"USER mrose\r\nPASS secret\r\n", b"AUTH PLAIN\r\nAG1yb3NlAHNlY3JldA==\r\n"])
sessions = st.builds(lambda first, rest: first + rest, login, garbage)
"""Garbage before or after a login."""
