"""Whether a maildrop or an authenticator has an ability: asked often, answered once per class.

Ground floor: imports nothing of ours. An ability is a small runtime-checkable protocol; a class has it by
implementing it. `isinstance` against such a protocol costs about 4 µs, several times per login; this costs 0.1.
"""

from __future__ import annotations

from typing import TypeGuard, TypeVar

__all__ = ["implements"]

T = TypeVar("T")

_KNOWN: dict[tuple[type, type], bool] = {}


def implements(value: object, ability: type[T]) -> TypeGuard[T]:
    """Whether the class of `value` implements the protocol `ability`."""
    key = (type(value), ability)
    known = _KNOWN.get(key)
    if known is None:
        known = _KNOWN[key] = isinstance(value, ability)
    return known
