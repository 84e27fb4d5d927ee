"""The page for those who come from Perl: every name of the ancestors has a row, and every name in it exists."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

from poplin.cli import COMMANDS
from poplin.daemon.schema import KEYS

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "how-to" / "come-from-perl.md"

ANCESTORS = {
    "Net::Server::POP3": """port servertype serveropts EOL welcome connect disconnect authenticate apop list retrieve size
        delete logindelay expiretime DEBUG linetimeout new startserver stopserver restartserver capabilities op user
        VERSION""",
    "Net::Server::POP3::Skeleton": """port allow deny greeting goodbye debug timeout transerr caperr nonFork other
        process_request state add_command sendok senderr senddata send close_client set get quit unknown unimplemented
        connect commit disconnect CONNECT AUTHORIZATION TRANSACTION UPDATE DISCONNECT""",
    "POE::Component::Server::POP3": """spawn alias address port options hostname version handle_connects time_out
        session_id shutdown send_event send_to_client disconnect getsockname register unregister pop3d_registered
        pop3d_listener_failed pop3d_connection pop3d_disconnected pop3d_cmd_* pop3d_plugin_add pop3d_plugin_del
        pop3d_plugin_error POP3D_* POP3C_response _default POP3D_EAT_NONE POP3D_EAT_CLIENT POP3D_EAT_PLUGIN
        POP3D_EAT_ALL the plugin_add plugin_del plugin_get plugin_list plugin_order plugin_register plugin_unregister
        push pop shift unshift replace remove get get_index insert_before insert_after bump_up bump_down""",
    "Mail::POP3: the library": """Mail::POP3->from_file Mail::POP3->read_config Mail::POP3->make_sane Mail::POP3::Daemon
        Mail::POP3::Server->start load_class Mail::POP3::Security::Connection Mail::POP3::Security::User
        Mail::POP3::Folder new lock_acquire lock_release messages octets is_valid is_deleted delete reset flush_delete
        retrieve top uidl uidl_list mbox mbox::parse_to_disk maildir webscrape""",
    "Mail::POP3: the keys of mpopd": """port max_servers mpopd_pid_file fork_alert timeout greeting user_check
        password_check mailbox_class mailbox_args connection_class mpopd_pam_service md5_no_pam use_pam shadow userlist
        host_mail_path mpopd_spool mail_spool_dir mailgroup message_start message_end retry_on_lock addreceived
        receivedfrom timezone reject_bogus_user allow_non_fqdn trusted_networks hosts_allow_deny debug debug_log
        user_log user_log_dir passsecret user_debug mpopd_conf_version forwardto use_maildir parse_to_disk
        mpopd_failed_mail""",
    "Its programs": """mpopd mpopd mpopd mpopdctl mpopdstats installscript update-conf mailbox-test webscrape testp3
        mpopd_test""",
}
"""What each of them documents, by the first word of its row."""


def tables() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        title = section.partition("\n")[0]
        rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
        found[title] = [[cell.strip() for cell in row.split(" | ")] for row in rows[2:]]
    return found


ROWS = [pytest.param(row, id=f"{title} {row[0]}") for title, rows in tables().items() for row in rows]
NAMES = sorted(
    {name for rows in tables().values() for row in rows for cell in row[1:] for name in re.findall(r"`([^`]+)`", cell)}
)


@pytest.mark.parametrize("title", [*ANCESTORS])
def test_every_name_of_the_ancestor_has_its_row(title: str) -> None:
    first = [re.split(r"[ (,]", row[0])[0] for row in tables()[title]]
    assert sorted(first) == sorted(ANCESTORS[title].split())


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_form_or_a_reason(row: list[str]) -> None:
    assert len(row) == 3
    assert all(row)
    form, reason = row[1:]
    if form.startswith("none"):
        assert form == "none"
        assert len(reason.split()) > 2, "say why"
    elif form.startswith("not yet"):
        assert re.fullmatch(r"not yet \([A-Z]\d+\)", form)
    else:
        assert re.fullmatch(r"`[^`]+`(, `[^`]+`)*", form)


def test_what_is_not_yet_there_is_told_by_the_features_too() -> None:
    features = (DOCS / "features.md").read_text("utf-8")
    states = dict(re.findall(r"^\| ([A-Z]\d+) \| .+ \| (.+) \|$", features, re.MULTILINE))
    said = set(re.findall(r"not yet \(([A-Z]\d+)\)", PAGE.read_text("utf-8")))
    assert said
    assert not [name for name in said if states[name] == "works"]


def exists(name: str) -> bool:
    """Whether a dotted name leads to something, a call has such a keyword, and a class such a member."""
    path, _, keyword = name.partition("(")
    parts = path.split(".")
    thing: object = importlib.import_module(parts[0])
    for position, part in enumerate(parts[1:], 2):
        if not hasattr(thing, part):
            importlib.import_module(".".join(parts[:position]))
        thing = getattr(thing, part)
    if not keyword:
        return True
    assert callable(thing)
    match = re.fullmatch(r"(\w+)=…\)", keyword)
    return match is not None and match[1] in inspect.signature(thing).parameters


@pytest.mark.parametrize("name", [name for name in NAMES if re.match(r"(poplin|logging)\.", name)])
def test_a_python_name_exists(name: str) -> None:
    if name.startswith("logging.") and "(" in name:
        assert name == 'logging.getLogger("poplin").setLevel(logging.DEBUG)'
    else:
        assert exists(name)


def test_every_form_is_a_python_name_a_key_or_a_command() -> None:
    keys = {key.path for key in KEYS}
    commands = {f"poplin {name}" for group in COMMANDS.values() for name, _, _ in group}
    forms = {name for rows in tables().values() for row in rows for name in re.findall(r"`([^`]+)`", row[1])}
    assert not {form for form in forms if not form.startswith(("poplin.", "logging."))} - keys - commands
    assert forms & keys
    assert forms & commands


def test_a_name_that_is_not_there_is_noticed() -> None:
    for name in ("poplin.Sever", "poplin.Server.stopp", "poplin.plugins.events.Nothing"):
        with pytest.raises((AttributeError, ModuleNotFoundError)):
            exists(name)
    assert not exists("poplin.Server(prot=…)")
