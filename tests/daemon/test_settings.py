"""From a checked file to frozen values: defaults of the schema, paths relative to the file, rules."""

from pathlib import Path

from poplin.daemon.check import read
from poplin.daemon.settings import Configuration, MaildropSettings, build
from poplin.limits import Limits
from poplin.maildrops.base import LockPolicy

LEAST = '[[authentication.backend]]\ntype = "password-file"\npath = "users"\n[maildrop]\npath = "mail/{user}"\n'


def built(text: str) -> Configuration:
    document = read("poplin.toml", text.encode())
    assert not document.problems
    return build(document, Path("/srv/mail"))


def test_defaults_are_those_of_the_library() -> None:
    configuration = built(LEAST)
    assert configuration.limits == Limits()
    assert configuration.allow_cleartext == "loopback"
    assert configuration.mechanisms is None
    assert configuration.tls is None
    assert configuration.maildrop == MaildropSettings(
        "maildir", "/srv/mail/mail/{user}", "mail/{user}", "destroy", LockPolicy("refuse"), "auto"
    )


def test_paths_are_relative_to_the_file_unless_they_are_whole() -> None:
    configuration = built(
        LEAST + '[tls]\ncertificate = "tls/cert.pem"\nkey = "/etc/key.pem"\n'
        '[[listener]]\naddress = "unix:run/pop3.sock"\n[server]\nstate_directory = "state"\n'
    )
    assert configuration.tls is not None
    assert configuration.tls.certificate == Path("/srv/mail/tls/cert.pem")
    assert configuration.tls.key == Path("/etc/key.pem")
    assert configuration.listeners[0].address == "unix:/srv/mail/run/pop3.sock"
    assert configuration.state_directory == Path("/srv/mail/state")
    assert configuration.backends[0].path == Path("/srv/mail/users")


def test_a_home_directory_is_whole_by_itself() -> None:
    configuration = built(LEAST.replace("mail/{user}", "{home}/Maildir"))
    assert configuration.maildrop.path == "{home}/Maildir"


def test_the_first_rule_that_fits_changes_only_what_it_says() -> None:
    configuration = built(
        LEAST + '[[maildrop.rule]]\nmatch = "*@example.org"\npath = "org/{local}"\n'
        '[[maildrop.rule]]\nmatch = "b?b*"\nlock = "snapshot"\n'
        '[[maildrop.rule]]\nmatch = "test"\ntype = "memory"\n'
    )
    assert configuration.maildrop_of("bob@example.org").path == "/srv/mail/org/{local}"
    assert configuration.maildrop_of("bob@example.org").lock == LockPolicy("refuse")
    assert configuration.maildrop_of("bob").path == "/srv/mail/mail/{user}"
    assert configuration.maildrop_of("bob").lock == LockPolicy("snapshot")
    assert configuration.maildrop_of("test").type == "memory"
    assert configuration.maildrop_of("test").path == ""
    assert configuration.maildrop_of("Bob") == configuration.maildrop


def test_a_lock_may_be_a_table() -> None:
    assert built(LEAST + 'lock = {policy = "snapshot"}\n').maildrop.lock == LockPolicy("snapshot")
    assert built(LEAST + "lock = {}\n").maildrop.lock == LockPolicy("refuse")


def test_what_is_set_arrives() -> None:
    configuration = built(
        '[server]\nhostname = "pop.example.org"\ngreeting = "hello"\ngoodbye = "bye"\n'
        '[authentication]\nmechanisms = ["PLAIN", "USER"]\nallow_cleartext = "never"\nfailure_delay = 0.5\n'
        f'normalise = "none"\ndefault_domain = "example.org"\n[limits]\nconnections = 7\n{LEAST}'
    )
    assert (configuration.hostname, configuration.greeting, configuration.goodbye) == (
        "pop.example.org",
        "hello",
        "bye",
    )
    assert configuration.mechanisms == frozenset({"PLAIN", "USER"})
    assert (configuration.allow_cleartext, configuration.failure_delay) == ("never", 0.5)
    assert (configuration.normalise, configuration.default_domain) == ("none", "example.org")
    assert configuration.limits == Limits(connections=7)
