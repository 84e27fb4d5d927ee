"""What a stranger can send for little and have computed for much."""

import ssl
import unicodedata

from poplin.authentication.user_names import LOWERCASE, check_user_name
from poplin.daemon.certificates import server_context
from support.serving import Certificate

ACCENTS = "a" + "\u0301\u0323" * 2000


def test_a_name_of_accents_is_not_put_in_order() -> None:
    # Two classes of accents in turn: canonical ordering is quadratic, 30 ms of the loop for one AUTH of 16 KB.
    assert unicodedata.normalize("NFC", ACCENTS) != ACCENTS
    assert LOWERCASE(ACCENTS) == ACCENTS
    assert check_user_name(LOWERCASE(ACCENTS)) is not None


def test_the_longest_name_is_still_composed() -> None:
    name = "E\u0301" * 127
    assert LOWERCASE(name) == "\u00e9" * 127
    assert check_user_name(LOWERCASE(name)) is None


def test_a_client_cannot_have_the_keys_made_again(certificate: Certificate) -> None:
    context = server_context(certificate.folder / "certificate.pem", certificate.folder / "key.pem", "1.2")
    assert context.options & ssl.OP_NO_RENEGOTIATION
