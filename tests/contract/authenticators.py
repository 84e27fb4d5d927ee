"""What every authenticator must do.

A test file inherits `AuthenticatorContract` and adds a fixture ``authenticator``, in which ``alice`` has the
password `PASSWORD`, and neither ``mallory`` nor the names of `test_no_other_user_does` exist.
"""

from __future__ import annotations

import hashlib
import logging
import traceback
from typing import ClassVar

import pytest

from poplin.authentication.base import (
    PASSWORD_MECHANISMS,
    ApopProof,
    Authenticator,
    Credentials,
    Offers,
    PasswordProof,
    Proof,
)
from poplin.errors import AuthenticationFailed, Refused
from poplin.identity import ClientFacts, Identity
from support.waiting import answer

TIMESTAMP = "<1896.697170952@pop.example.org>"
CLIENT = ClientFacts(address="192.0.2.7", port=40000, session_id="s1")


def apop(secret: str) -> ApopProof:
    return ApopProof(TIMESTAMP, hashlib.md5((TIMESTAMP + secret).encode()).hexdigest())


class AuthenticatorContract:
    """The tests. `PASSWORD` is what the user ``alice`` has in every authenticator under test."""

    PASSWORD: ClassVar[str] = "planted Geheimnis ünd more"

    def ask(self, authenticator: Authenticator, user: str, proof: Proof, authorization: str = "") -> Identity:
        mechanism = "APOP" if isinstance(proof, ApopProof) else "PLAIN"
        return answer(authenticator.authenticate(Credentials(mechanism, user, proof, authorization), CLIENT))

    def test_the_right_password_lets_in(self, authenticator: Authenticator) -> None:
        assert self.ask(authenticator, "alice", PasswordProof(self.PASSWORD)).user == "alice"

    def test_the_identity_is_the_same_each_time(self, authenticator: Authenticator) -> None:
        first = self.ask(authenticator, "alice", PasswordProof(self.PASSWORD))
        assert self.ask(authenticator, "alice", PasswordProof(self.PASSWORD)) == first

    @pytest.mark.parametrize(
        "change",
        [
            lambda right: right + "x",
            lambda right: right[:-1],
            lambda right: right.upper(),
            lambda right: right + "\0",
            lambda right: right + "\0x",
            lambda right: "\0" + right,
            lambda right: "",
            lambda right: " " + right,
            lambda right: right + " ",
            lambda right: right + "\udcff",
            lambda right: "x" * 4096,
        ],
    )
    def test_no_other_password_does(self, authenticator: Authenticator, change: object) -> None:
        assert callable(change)
        with pytest.raises(AuthenticationFailed):
            self.ask(authenticator, "alice", PasswordProof(change(self.PASSWORD)))

    @pytest.mark.parametrize(
        "user", ["mallory", "", "alice\0", "alice\n", "alice\nbob", "../alice", "a" * 5000, "\udcffalice", "*", "al%ce"]
    )
    def test_no_other_user_does(self, authenticator: Authenticator, user: str) -> None:
        with pytest.raises(AuthenticationFailed):
            self.ask(authenticator, user, PasswordProof(self.PASSWORD))

    def test_an_unknown_user_and_a_wrong_password_are_not_told_apart(self, authenticator: Authenticator) -> None:
        refusals = []
        for user in ("alice", "mallory"):
            with pytest.raises(AuthenticationFailed) as refusal:
                self.ask(authenticator, user, PasswordProof("wrong"))
            refusals.append((type(refusal.value), refusal.value.code, refusal.value.text_id, refusal.value.fields))
        assert refusals[0] == refusals[1]

    def test_acting_as_oneself_is_allowed(self, authenticator: Authenticator) -> None:
        assert self.ask(authenticator, "alice", PasswordProof(self.PASSWORD), "alice").user == "alice"

    def test_acting_as_somebody_else_is_refused(self, authenticator: Authenticator) -> None:
        with pytest.raises(Refused):
            self.ask(authenticator, "alice", PasswordProof(self.PASSWORD), "bob")

    def test_who_may_not_act_as_another_is_told_so_only_with_the_right_password(
        self, authenticator: Authenticator
    ) -> None:
        with pytest.raises(AuthenticationFailed):
            self.ask(authenticator, "alice", PasswordProof("wrong"), "bob")

    def test_what_is_offered_is_served(self, authenticator: Authenticator) -> None:
        offered = authenticator.mechanisms() if isinstance(authenticator, Offers) else PASSWORD_MECHANISMS
        assert all(name == name.upper() for name in offered)
        if "APOP" in offered:
            assert self.ask(authenticator, "alice", apop(self.PASSWORD)).user == "alice"

    def test_a_wrong_digest_is_refused(self, authenticator: Authenticator) -> None:
        for proof in (apop("wrong"), apop(""), ApopProof(TIMESTAMP, ""), ApopProof(TIMESTAMP, "0" * 32)):
            with pytest.raises(AuthenticationFailed):
                self.ask(authenticator, "alice", proof)
            with pytest.raises(AuthenticationFailed):
                self.ask(authenticator, "mallory", proof)

    def test_no_secret_is_shown(self, authenticator: Authenticator, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        shown = [repr(authenticator), str(authenticator)]
        secrets = [self.PASSWORD, "offered-secret", apop(self.PASSWORD).digest, apop("offered-secret").digest]
        proofs: list[Proof] = [PasswordProof("offered-secret"), apop("offered-secret")]
        for user in ("alice", "mallory"):
            for proof in proofs:
                with pytest.raises(AuthenticationFailed) as refusal:
                    self.ask(authenticator, user, proof)
                shown += ["".join(traceback.format_exception(refusal.value)), repr(refusal.value), repr(proof)]
        shown.append(repr(self.ask(authenticator, "alice", PasswordProof(self.PASSWORD))))
        shown.append(caplog.text)
        assert not [(secret, text) for secret in secrets for text in shown if secret in text]
