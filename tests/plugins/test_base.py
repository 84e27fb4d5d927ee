"""A plugin's hooks: what is one is known when the class is made."""

import pytest

import poplin
from poplin.identity import ClientFacts
from poplin.plugins.base import Plugin
from poplin.protocol.commands import Command


def test_a_misspelt_hook_is_refused_with_the_right_spelling() -> None:
    with pytest.raises(TypeError, match=r"Loud\.on_comand: there is no such hook; did you mean on_command\?"):

        class Loud(Plugin):
            def on_comand(self, client: ClientFacts, command: Command) -> Command:
                return command


def test_a_hook_of_no_known_name_is_told_the_hooks() -> None:
    with pytest.raises(TypeError, match="the hooks are on_add, on_remove, on_connect"):

        class Odd(Plugin):
            def on_xyzzy(self) -> None:
                """Never called."""


def test_a_hook_with_the_wrong_parameters_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Short\.on_command: expected the parameters"):

        class Short(Plugin):
            def on_command(self, command: Command) -> Command:  # type: ignore[override]  # the mistake is the test
                return command


def test_what_is_no_hook_is_left_alone() -> None:
    class Fine(Plugin):
        on_time = 5

        def helper(self) -> None:
            """Not a hook."""

        async def on_command(self, client: ClientFacts, command: Command) -> Command:
            return command

    assert isinstance(Fine(), poplin.Plugin)
