"""When users logged in last."""

import time

import pytest

from poplin.errors import LoginTooSoon
from poplin.server.login_times import LoginMemory


def test_a_delay_holds_for_that_user_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    memory = LoginMemory()
    memory.check("ann", 60)
    memory.remember("ann", 60)
    memory.check("bob", 60)
    now += 30.5
    for _ in range(2):  # a refusal does not begin it anew
        with pytest.raises(LoginTooSoon) as refused:
            memory.check("ann", 60)
        assert refused.value.seconds == 30
        assert refused.value.fields == {"seconds": 30}
    memory.check("ann", 0)
    with pytest.raises(LoginTooSoon) as refused:
        memory.check("ann", 5)  # shortened meanwhile
    assert refused.value.seconds == 5
    now += 29.5
    memory.check("ann", 60)


def test_it_forgets_what_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    memory = LoginMemory()
    for round_ in range(20):
        for number in range(1000):
            memory.remember(f"user {round_} {number}", 60)
        now += 61
    assert len(memory) <= 3000
    memory.remember("ann", 60)
    with pytest.raises(LoginTooSoon):
        memory.check("ann", 60)
