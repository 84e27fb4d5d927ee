"""Generate the reference pages from the tables that the program itself runs by.

Usage: ``python docs/generate.py`` writes them; ``python docs/generate.py --check`` only compares (exit status 1
if one is stale). A table's row without a text fails here: no key, command or code goes undocumented.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import click
from python_reference import SINCE, python_page, since_record
from tables import summary, table

from poplin import errors
from poplin.cli import COMMANDS, root
from poplin.commands.failures import CODES
from poplin.daemon.schema import KEYS, Key
from poplin.errors import SessionError
from poplin.protocol import commands
from poplin.protocol.capabilities import Facts, capabilities
from poplin.protocol.parsing import GRAMMAR
from poplin.protocol.states import TRANSITIONS, State
from poplin.protocol.texts import ENGLISH
from poplin.session.authorization import Authorization
from poplin.session.transaction import Transaction

REFERENCE = Path(__file__).resolve().parent / "reference"

_STATES = (State.AUTHORIZATION, State.TRANSACTION)

_CAPABILITIES: Mapping[str, str] = {
    "TOP": "the command TOP (RFC 2449 section 6.1)",
    "UIDL": "the command UIDL (RFC 2449 section 6.9)",
    "USER": "USER and PASS work on this connection (RFC 2449 section 6.2)",
    "SASL": "the mechanisms of AUTH that work on this connection (RFC 2449 section 6.3, RFC 5034)",
    "RESP-CODES": "replies may carry a response code (RFC 2449 section 6.4)",
    "AUTH-RESP-CODE": "failed logins say whose fault it was (RFC 3206)",
    "PIPELINING": "commands may be sent without waiting for replies (RFC 2449 section 6.6)",
    "STLS": "TLS can begin now (RFC 2595)",
    "IMPLEMENTATION": 'the name of the program (RFC 2449 section 6.10); `Policy(implementation="")` hides it',
}
"""Each capability that the table can announce, and what it means."""


def protocol_page() -> str:
    """States by commands, moves, capabilities, response codes, texts."""
    return f"""# Which commands, capabilities, replies and codes are there?

*Reference*, generated from the tables that a session runs by.

## Commands and states

A command outside its state is answered `-ERR`, and counts as a bad command.

{_commands()}
UTF8 and LANG are read and answered `-ERR`: they are not announced, as they have no effect yet.

## Moves between states

What is not listed stays in its state. A connection that ends by itself, by a timeout or by the server's stop is no
move: nothing is removed then.

{_moves()}
## Capabilities

What CAPA answers is computed from what works on this connection now. These are its lines for a user base of hashed
passwords; more or fewer mechanisms change the lines USER and SASL.

{_capabilities()}
## Response codes

{_codes()}
## Texts

Everything the server says behind `+OK` or `-ERR`. `{{name}}` is filled in.

{table(("id", "text"), ((f"`{name}`", f"`{text}`" if text else "nothing") for name, text in ENGLISH.items()))}"""


def _commands() -> str:
    values = {getattr(commands, name).verb: getattr(commands, name) for name in commands.__all__ if _has_verb(name)}
    tables = {Authorization.state: Authorization.table, Transaction.state: Transaction.table}
    rows = []
    for keyword in GRAMMAR:
        verb = keyword.decode()
        states = ["yes" if verb in tables[state] else "no" for state in _STATES]
        rows.append((f"`{verb}`", summary(values[verb]), *states))
    return table(("command", "meaning", *(state.value for state in _STATES)), rows)


def _has_verb(name: str) -> bool:
    return isinstance(getattr(getattr(commands, name), "verb", None), str)


def _moves() -> str:
    rows = [
        (state.value, f"`{verb}`", "`+OK`" if positive else "`-ERR`", after.value)
        for (state, verb, positive), after in TRANSITIONS.items()
    ]
    return table(("state", "command or event", "reply", "state after it"), rows)


def _capabilities() -> str:
    sasl = ("LOGIN", "PLAIN")
    columns = {
        "before STLS, passwords in clear allowed": Facts(user=True, sasl=sasl, starttls=True, implementation="poplin"),
        "before STLS, not allowed": Facts(user=False, sasl=(), starttls=True, implementation="poplin"),
        "within TLS, and after login": Facts(user=True, sasl=sasl, starttls=False, implementation="poplin"),
    }
    said = {title: {line.tag: str(line) for line in capabilities(facts)} for title, facts in columns.items()}
    tags = list(dict.fromkeys(tag for lines in said.values() for tag in lines))
    rows = [
        (f"`{tag}`", _CAPABILITIES[tag], *(f"`{lines[tag]}`" if tag in lines else "no" for lines in said.values()))
        for tag in sorted(tags, key=list(_CAPABILITIES).index)
    ]
    return table(("capability", "meaning", *said), rows)


def _codes() -> str:
    found = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, SessionError)]
    rows = [
        (f"`[{error.code}]`", f"`{error.__name__}`", summary(error), _text(error))
        for error in found
        if error.code and error is not SessionError
    ]
    return table(("code", "raised as", "meaning", "text"), rows)


def _text(error: type[SessionError]) -> str:
    if error is errors.InUse:
        return f"`{ENGLISH['in-use-since']}`"
    return f"`{ENGLISH[error.text_id]}`"


def configuration_page() -> str:
    """Every key of the configuration."""
    parts = [
        "# Which keys does the configuration have?\n",
        (
            "*Reference*, generated from the table that `poplin check` goes by. `poplin config explain KEY` prints an\n"
            "entry. A value marked *not available* is refused today; it will mean what is written here.\n"
        ),
    ]
    sections: dict[str, list[Key]] = {}
    for key in KEYS:
        if key.is_table:
            sections.setdefault(_section(key.path), [])
        else:
            sections.setdefault(_section(key.path.rpartition(".")[0]), []).append(key)
    tables = {_section(key.path): key for key in KEYS if key.is_table}
    for title, keys in sections.items():
        if not keys:
            continue
        parts.append(f"## {title}\n")
        if title in tables:
            parts.append(
                f"{tables[title].text}{' *Not available in this version.*' if _never(tables[title]) else ''}\n"
            )
        parts.append(table(("key", "type", "default", "meaning"), (_row(key) for key in keys)))
    return "\n".join(parts)


def _section(path: str) -> str:
    if not path:
        return "At the top"
    return f"[[{path.removesuffix('[]').replace('[]', '')}]]" if path.endswith("[]") else f"[{path}]"


def _never(key: Key) -> bool:
    return key.unbuilt is not None and key.unbuilt(object()) is not None and not key.choices and key.default is None


def _row(key: Key) -> tuple[str, str, str, str]:
    meaning = key.text
    if not meaning:
        raise ValueError(f"the configuration key {key.path} has no text")
    if key.hint:
        meaning = f"{meaning.removesuffix('.')} ({key.hint})."
    if key.choices:
        built = ", ".join(f"`{choice.form}`" for choice in key.choices if choice.built)
        later = ", ".join(f"`{choice.form}`" for choice in key.choices if not choice.built)
        meaning += f" One of {built}." + (f" *Not available:* {later}." if later else "")
    elif _never(key):
        meaning += " *Not available in this version.*"
    elif key.unbuilt is not None and key.default is not None:
        meaning += " *Any other value is not available in this version.*"
    default = "required" if key.required else "none" if key.default is None else f"`{_toml(key.default)}`"
    return f"`{key.name}`", " or ".join(key.kinds), default, meaning


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else f"{value}"


def commands_page() -> str:
    """The help of every command, and the codes of failures."""
    parts = [
        "# Which commands and options does poplin have?\n",
        "*Reference*, generated from the commands themselves: this is what `--help` prints.\n",
        (
            "Exit status: 0 done, 1 failed, 2 wrong usage. Data goes to standard output, everything else to standard\n"
            "error. With `--json` a failure is one object on standard error, and its `code` is one of these:\n"
        ),
        table(("code", "meaning"), ((f"`{code}`", text) for code, text in CODES.items())),
    ]
    os.environ |= {"NO_COLOR": "1", "COLUMNS": "120"}  # the help is the same wherever it is generated
    context = click.Context(root, info_name="poplin")
    for group in COMMANDS.values():
        for name, _, _ in group:
            command = root.get_command(context, name)
            if command is None:
                raise ValueError(f"the command {name} cannot be loaded")
            parts += _helps(command, click.Context(command, info_name=name, parent=context))
    return "\n".join(parts)


def _helps(command: click.Command, context: click.Context) -> list[str]:
    parts = [
        f"## {context.command_path}\n",
        f"<!-- not run: this is printed by {context.command_path} --help -->\n```text\n{command.get_help(context)}\n```\n",
    ]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                parts += _helps(inner, click.Context(inner, info_name=name, parent=context))
    return parts


PAGES: Mapping[str, Callable[[], str]] = {
    "protocol.md": protocol_page,
    "configuration.md": configuration_page,
    "commands.md": commands_page,
    "python.md": python_page,
}


FILES: Mapping[str, Callable[[], str]] = {**PAGES, SINCE.name: since_record}


def stale() -> list[str]:
    """The files that are not what the tables say today."""
    found = []
    for name, make in FILES.items():
        path = REFERENCE / name
        if not path.exists() or path.read_text(encoding="utf-8") != make():
            found.append(name)
    return found


def main(arguments: Sequence[str]) -> int:
    """Write or compare."""
    if arguments == ["--check"]:
        old = stale()
        for name in old:
            print(f"docs/reference/{name} is stale; write it anew with: python docs/generate.py", file=sys.stderr)
        return 1 if old else 0
    REFERENCE.mkdir(exist_ok=True)
    for name, make in FILES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
