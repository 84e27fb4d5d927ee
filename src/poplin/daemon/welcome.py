"""The first messages of a new account: real ones, that say what to try next."""

from __future__ import annotations

import os
import secrets
import time
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTPUTF8
from email.utils import format_datetime, make_msgid
from pathlib import Path

from poplin.maildrops.maildir import make_maildir

__all__ = ["deliver"]

_WELCOME = """\
Hello {user},

this message came to you by POP3, from a server of your own: poplin.

It is a plain file in the Maildir {maildir}
and any program that reads Maildirs shows it too. Two more messages tell what
to try next.

Nothing on this server can be read from another machine: it listens on this
machine's loopback addresses alone, until poplin.toml says otherwise.
"""
_CLIENTS = """\
Any mail program can read this mailbox. It will ask for:

    server      127.0.0.1
    user name   {user}
    port        1110 with STARTTLS (STLS), or 1995 with TLS from the start
    password    the one that was shown at the first start

The certificate is self-made, so the program will ask whether to trust it.

By hand it is a conversation in words; try it:

    openssl s_client -quiet -connect 127.0.0.1:1995

and then type, line by line, USER {user}, PASS and the password, STAT, LIST,
RETR 1, QUIT. A line of a message that consists of a dot alone, as this one:
.
reaches you whole: the server doubles the dot on its way, and your program
takes it away again (RFC 1939, section 3).
"""
_NEXT = """\
Some things to do next:

  * Another user:           poplin user add alice
  * A new password:         poplin user passwd {user}
  * What is configured:     poplin config check
  * What a key means:       poplin config explain listener.tls
  * Mail of your own:       copy message files into {maildir}/new
  * Serve your own data:    the first ten lines of README.md

Grüße, and good reading; this line shows that letters beyond ASCII arrive as
they were sent: äöü, naïve, 手紙, письмо.
"""
_MESSAGES = (("Welcome to poplin", _WELCOME), ("How to read this mail", _CLIENTS), ("What to try next", _NEXT))


def deliver(maildir: Path, user: str) -> int:
    """Make the Maildir at `maildir` and put the messages into it; the answer is how many.

    Raises:
        OSError, Error: it cannot be written.
    """
    make_maildir(os.path.abspath(maildir))
    for number, (subject, text) in enumerate(_MESSAGES, 1):
        message = EmailMessage(policy=SMTPUTF8.clone(linesep="\n", cte_type="8bit"))
        message["From"] = "poplin <postmaster@localhost>"
        message["To"] = f"{user}@localhost" if "@" not in user else user
        message["Subject"] = subject
        message["Date"] = format_datetime(datetime.now().astimezone())
        message["Message-ID"] = make_msgid(domain="poplin.localhost")
        message.set_content(text.format(user=user, maildir=maildir))
        _put(maildir, message.as_bytes(), number)
    return len(_MESSAGES)


def _put(maildir: Path, octets: bytes, number: int) -> None:
    """Into ``tmp``, synced, then ``new``: as a delivery agent does, sizes in the name (``S`` and ``W``)."""
    host = os.uname().nodename.replace("/", "\\057").replace(":", "\\072")
    wire = len(octets) + octets.count(b"\n")
    name = f"{int(time.time())}.M{number}P{os.getpid()}R{secrets.token_hex(4)}.{host},S={len(octets)},W={wire}"
    with open(maildir / "tmp" / name, "xb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
    os.rename(maildir / "tmp" / name, maildir / "new" / name)
