"""A maildrop and an authenticator that keep the contracts without deriving from anything."""

from collections.abc import Sequence

import poplin


class Box:
    """One user's messages."""

    def __init__(self, user: str) -> None:
        self.user = user

    def scan(self) -> poplin.Scan | Sequence[poplin.Entry]:
        return [poplin.Entry("one", 12)]

    async def retrieve(self, entry: poplin.Entry, /) -> poplin.Content:
        return poplin.Content(b"Subject: one\n\n")

    def remove(self, entries: Sequence[poplin.Entry], /) -> poplin.Removal:
        return poplin.Removal(len(entries))

    def close(self, ending: poplin.Ending, /) -> None: ...


class Boxes:
    """Gives them out."""

    async def open(self, request: poplin.OpenRequest, /) -> poplin.Maildrop:
        if request.identity.user == "carol":
            raise poplin.InUse
        return Box(request.identity.user)


class Judge:
    """Lets in whom it knows."""

    def authenticate(self, credentials: poplin.Credentials, client: poplin.ClientFacts, /) -> poplin.Identity:
        if credentials.user != "alice":
            raise poplin.AuthenticationFailed
        return poplin.Identity("alice")


opener: poplin.Opener = Boxes()
judge: poplin.Authenticator = Judge()
server = poplin.Server(
    maildrops=opener,
    authenticator=judge,
    listeners=[poplin.Listener(address="127.0.0.1:0"), poplin.Listener(address="unix:pop3.sock")],
    limits=poplin.Limits(autologout=900, connections=50),
    policy=poplin.Policy(greeting="hello", allow_cleartext="never"),
)
