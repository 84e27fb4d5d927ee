"""A maildrop from which nothing is removed, and a client that is told so."""

from poplin.plugins.read_only import ReadOnly
from support.talking import LOGIN, a_world, talk


def test_dele_is_refused_and_nothing_removed() -> None:
    world = a_world()
    said = talk(LOGIN + b"DELE 1\r\nSTAT\r\nRETR 1\r\nQUIT\r\n", ReadOnly(), world=world)
    assert b"-ERR this maildrop is read-only: nothing is removed\r\n+OK 2 90\r\n+OK 40 octets\r\n" in said
    assert len(world.boxes["mrose"].messages) == 2
    assert world.boxes["mrose"].removals == []


def test_for_some_alone_and_in_other_words() -> None:
    for address, refused in (("127.0.0.1", True), ("192.0.2.1", False)):
        plugin = ReadOnly("hands off", applies=lambda client, address=address: client.address == address)  # type: ignore[misc]  # a lambda's default
        assert (b"-ERR hands off\r\n" in talk(LOGIN + b"DELE 1\r\n", plugin)) is refused
