"""What the tests of the server share."""

import ssl

import pytest

from support.serving import Certificate


@pytest.fixture
def trusting(certificate: Certificate) -> ssl.SSLContext:
    """A client's context that trusts the test's certificate."""
    return ssl.create_default_context(cafile=certificate.authority)
