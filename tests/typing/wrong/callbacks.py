# pyright: standard
"""Callbacks that are misspelt, or of another shape. A line that is refused says by which rules."""

from poplin import Callbacks


def ids(user: str) -> list[str]:
    return [user]


def message(user: str, message_id: str) -> bytes:
    return b""


def number(user: str, message_id: str) -> int:
    return 5


def text(user: str, message_id: str) -> str:
    return "12"


def counted(user: str) -> int:
    return 5


Callbacks(list=ids, retreive=message)  # refused: call-arg, reportCallIssue
Callbacks(list=ids)  # refused: call-arg, reportCallIssue
Callbacks(list=counted, retrieve=message)  # refused: arg-type, reportArgumentType
Callbacks(list=ids, retrieve=ids)  # refused: arg-type, reportArgumentType
Callbacks(list=ids, retrieve=number)  # refused: arg-type, reportArgumentType
Callbacks(list=ids, retrieve=lambda user: b"")  # refused: arg-type misc, reportArgumentType
Callbacks(list=ids, retrieve=message, size=text)  # refused: arg-type, reportArgumentType
Callbacks(list=ids, retrieve=message, expire="always")  # refused: arg-type, reportArgumentType
Callbacks(list=ids, retrieve=message, exclusive="no")  # refused: arg-type, reportArgumentType
