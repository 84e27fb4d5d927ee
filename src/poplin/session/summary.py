"""What a session came to: the figures of its one summary line. A mutable record, written by the session alone."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Summary"]


@dataclass(slots=True)
class Summary:
    """Counts and octets of one session; `user` is ``""`` until somebody was let in."""

    user: str = ""
    mechanism: str = ""
    messages: int = 0
    retrieved: int = 0
    retrieved_octets: int = 0
    tops: int = 0
    tops_octets: int = 0
    marked: int = 0
    removed: int = 0
    failures: int = 0

    def line(self) -> str:
        """The figures as ``name=value`` words."""
        return (
            f"user={self.user or '-'} mechanism={self.mechanism or '-'} messages={self.messages}"
            f" retr={self.retrieved}/{self.retrieved_octets} top={self.tops}/{self.tops_octets}"
            f" dele={self.removed}/{self.marked}"
        )
