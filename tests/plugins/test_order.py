"""The order of plugins, and every way to change it."""

from collections.abc import Callable

import pytest

from poplin.plugins.base import Plugin
from poplin.plugins.order import Order
from poplin.plugins.pipeline import Pipeline


class A(Plugin):
    """The first."""


class B(Plugin):
    """The second."""


class C(Plugin):
    """The third."""


def order(*plugins: Plugin) -> Order:
    made = Order()
    for plugin in plugins:
        made.push(plugin)
    return made


def names(of: Order) -> str:
    return "".join(name for name, _ in of.list())


CHANGES: list[tuple[Callable[[Order], object], str]] = [
    (lambda o: o.push(C()), "ABC"),
    (lambda o: o.unshift(C()), "CAB"),
    (lambda o: o.insert_before("B", C()), "ACB"),
    (lambda o: o.insert_after("A", C()), "ACB"),
    (lambda o: o.insert_after("B", C()), "ABC"),
    (lambda o: o.push(C(), "X"), "ABX"),
    (lambda o: o.pop(), "A"),
    (lambda o: o.shift(), "B"),
    (lambda o: o.remove("A"), "B"),
    (lambda o: o.remove(o.get("B")), "A"),
    (lambda o: o.replace("A", C()), "CB"),
    (lambda o: o.replace("A", A()), "AB"),
    (lambda o: o.bump_up("B"), "BA"),
    (lambda o: o.bump_up("A"), "AB"),
    (lambda o: o.bump_up("B", 9), "BA"),
    (lambda o: o.bump_down("A"), "BA"),
    (lambda o: o.bump_down("B", 9), "AB"),
]


@pytest.mark.parametrize(("change", "wanted"), CHANGES)
def test_every_change(change: Callable[[Order], object], wanted: str) -> None:
    changed = order(A(), B())
    before = changed.plugins
    change(changed)
    assert names(changed) == wanted
    assert len(changed) == len(wanted)
    assert len(before) == 2, "whoever goes through the old order is not disturbed"
    for name, plugin in changed.list():
        assert changed.get(name) is plugin
        assert changed.name_of(plugin) == name
        assert changed.index(plugin) == changed.index(name)


def test_answers() -> None:
    first, second, third = A(), B(), C()
    changed = order(first, second)
    assert changed.push(third, "third") == "third"
    assert changed.bump_up(third, 2) == 0
    assert changed.bump_down(third, 1) == 1
    assert changed.bump_down(third, 9) == 2
    assert changed.bump_up(third, 9) == 0
    assert changed.bump_down(third, 1) == 1
    assert changed.replace("third", C()) is third
    assert changed.shift() is first
    assert changed.pop() is second
    assert changed.name_of(first) == "A", "gone, it goes by its class"


def test_two_of_a_name_and_two_of_one_are_refused() -> None:
    first = A()
    changed = order(first, B())
    for wrong in (A(), first):
        with pytest.raises(ValueError, match="'A' is in the pipeline already"):
            changed.push(wrong, "A")
    with pytest.raises(ValueError, match="'A' is in the pipeline already"):
        changed.push(first, "again")
    with pytest.raises(ValueError, match="already"):
        changed.replace("B", A())
    assert names(changed) == "AB", "a refused replacement changes nothing"
    changed.push(A(), "another")


def test_the_unknown_and_the_empty() -> None:
    with pytest.raises(LookupError, match=r"no plugin 'X' in the pipeline \(A, B\)"):
        order(A(), B()).index("X")
    with pytest.raises(LookupError, match="it is empty"):
        order().get("X")
    for empty in (order().pop, order().shift):
        with pytest.raises(LookupError, match="the pipeline is empty"):
            empty()


def test_only_plugins_are_taken() -> None:
    with pytest.raises(TypeError, match=r"expected a poplin\.Plugin, found str"):
        order().push("audit")  # type: ignore[arg-type]  # the mistake is the test
    with pytest.raises(TypeError, match=r"expected a poplin\.Plugin"):
        Pipeline([object()])  # type: ignore[list-item]  # as above
