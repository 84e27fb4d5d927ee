"""The moves between the states: each that is written, and no other."""

import itertools

import pytest

from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.states import TRANSITIONS, State, next_state

MOVES = {
    (State.AUTHORIZATION, "PASS"): State.TRANSACTION,
    (State.AUTHORIZATION, "APOP"): State.TRANSACTION,
    (State.AUTHORIZATION, "AUTH"): State.TRANSACTION,
    (State.AUTHORIZATION, "QUIT"): State.DISCONNECT,
    (State.TRANSACTION, "QUIT"): State.UPDATE,
}


@pytest.mark.parametrize("state", State)
def test_each_command_moves_only_where_it_must(state: State) -> None:
    for verb in [keyword.decode() for keyword in GRAMMAR]:
        assert next_state(state, verb, positive=True) is MOVES.get((state, verb), state)


@pytest.mark.parametrize("state", State)
def test_no_command_that_was_refused_moves(state: State) -> None:
    for verb in [keyword.decode() for keyword in GRAMMAR]:
        assert next_state(state, verb, positive=False) is state


def test_the_ends() -> None:
    assert next_state(State.CONNECT, "greeting", positive=True) is State.AUTHORIZATION
    assert next_state(State.CONNECT, "greeting", positive=False) is State.DISCONNECT
    for positive in (True, False):
        assert next_state(State.UPDATE, "commit", positive=positive) is State.DISCONNECT


def test_nothing_leads_back() -> None:
    order = list(State)
    for (before, _, _), after in TRANSITIONS.items():
        assert order.index(after) >= order.index(before)


def test_disconnect_is_the_end() -> None:
    for verb, positive in itertools.product(["QUIT", "commit", "greeting", "PASS"], [True, False]):
        assert next_state(State.DISCONNECT, verb, positive=positive) is State.DISCONNECT
