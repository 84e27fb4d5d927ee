"""Misspelt names are refused before a port opens, and the right spelling is told: on every face, and in settings."""

import dataclasses
import functools
import inspect
import pickle
from collections.abc import Callable

import pytest

import poplin
from poplin.spelling import did_you_mean, spelled


def service() -> poplin.Callbacks:
    return poplin.Callbacks(list=lambda user: [], retrieve=lambda user, message_id: b"")


def plugin(hook: str, function: Callable[..., object]) -> object:
    return type("Mine", (poplin.Plugin,), {hook: function})


def commands(method: str, function: Callable[..., object]) -> object:
    return type("Mine", (poplin.CommandServer,), {method: function})


def call(function: Callable[..., object], **keywords: object) -> Callable[[], object]:
    """A call that no checker looks at."""
    return lambda: function(**keywords)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        pytest.param(
            call(poplin.Callbacks, list=lambda user: [], retreive=lambda user, message_id: b""),
            r"'retreive'; did you mean 'retrieve'\?",
            id="callback",
        ),
        pytest.param(
            call(poplin.Callbacks, list=lambda user: [], retrieve=lambda user: b""),
            r"retrieve is called with \(user, message_id\)",
            id="parameters of a callback",
        ),
        pytest.param(lambda: plugin("on_comand", lambda self: None), r"did you mean on_command\?", id="hook"),
        pytest.param(lambda: plugin("on_replay", lambda self: None), r"did you mean on_reply\?", id="another hook"),
        pytest.param(
            lambda: plugin("on_zzzzzzzzzz", lambda self: None), r"the hooks are on_add, on_remove, .*, on_disconnect", id="no hook"
        ),
        pytest.param(
            lambda: plugin("on_command", lambda self, command: command),
            r"on_command: expected the parameters \(self, client: .*, command: ",
            id="parameters of a hook",
        ),
        pytest.param(lambda: commands("do_pass", lambda self, argument: None), r"did you mean do_PASS\?", id="method"),
        pytest.param(
            lambda: commands("do_PASS", lambda self: None),
            r"do_PASS: expected the parameters \(self, argument: str\)",
            id="parameters of a method",
        ),
        pytest.param(call(poplin.Limits, autologuot=900), r"'autologuot'; did you mean 'autologout'\?", id="limit"),
        pytest.param(call(poplin.Limits, speed=9), r"no keyword 'speed'; there are autologout, .*inline_octets", id="none"),
        pytest.param(call(poplin.Policy, greting="x"), r"'greting'; did you mean 'greeting'\?", id="rule"),
        pytest.param(call(poplin.Listener, adress="x"), r"'adress'; did you mean 'address'\?", id="listener"),
        pytest.param(
            lambda: call(poplin.Server, prot=1, maildrops=service(), authenticator=service())(),
            r"Server has no keyword 'prot'; did you mean 'port'\?",
            id="server",
        ),
        pytest.param(
            call(functools.partial(dataclasses.replace, poplin.Limits()), conections=5),
            r"'conections'; did you mean 'connections'\?",
            id="a changed limit",
        ),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_refused_with_the_right_one(wrong: Callable[[], object], told: str) -> None:
    with pytest.raises(TypeError, match=told):
        wrong()


def test_a_misspelt_name_of_the_package_is_refused_with_the_right_one() -> None:
    name = "BackgroundSever"
    with pytest.raises(AttributeError, match="'BackgroundSever'; did you mean 'BackgroundServer'"):
        getattr(poplin, name)
    name = "Xyzzy"
    with pytest.raises(AttributeError, match=r"no attribute 'Xyzzy'$"):
        getattr(poplin, name)


def test_every_public_name_is_listed_and_there() -> None:
    for name in poplin.__all__:
        assert name in dir(poplin)
        assert getattr(poplin, name) is not None


def test_a_misspelt_setting_cannot_be_set_later() -> None:
    for made in (poplin.Limits(), poplin.Policy(), poplin.Listener(address="127.0.0.1:0"), poplin.ClientFacts()):
        with pytest.raises((AttributeError, TypeError)):  # frozen and slotted: CPython 3.11 stumbles over its super()
            setattr(made, "prot", 1)  # noqa: B010 - no checker lets it be written plainly


def test_what_is_spelled_right_passes_unchanged() -> None:
    limits = poplin.Limits(autologout=900)
    assert limits.autologout == 900
    assert pickle.loads(pickle.dumps(limits)) == limits
    assert str(inspect.signature(poplin.Limits)).startswith("(*, autologout: 'float' = 600, ")
    assert "service" in inspect.signature(poplin.Server).parameters


def test_a_function_keeps_its_own_refusals() -> None:
    @spelled
    def wash(hands: int, *, soap: bool = True) -> tuple[int, bool]:
        return hands, soap

    assert wash(2, soap=False) == (2, False)
    with pytest.raises(TypeError, match=r"wash has no keyword 'saop'; did you mean 'soap'\?"):
        call(wash, saop=True)()
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        call(wash, soap=True)()


def test_a_far_name_is_no_guess() -> None:
    assert did_you_mean("greting", ["greeting", "goodbye"]) == "; did you mean 'greeting'?"
    assert did_you_mean("xyzzy", ["greeting", "goodbye"]) == ""
