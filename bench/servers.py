"""The servers under test: how each is started on the corpus, and stopped by its pid.

Dovecot runs twice: `tuned` as an expert would set it for a benchmark with no loss of function (login processes that
serve many clients, mail processes used again and kept ready, sizes from file names or its cache, no fsync), and
`default` with the shipped settings but for what is needed to run at all. Its passdb is static, which hashes nothing;
so poplin's password file holds ``{PLAIN}`` records, and neither side pays for a hash.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from place import HERE, MAIL_ID, Place

_COMMON = """\
base_dir = {directory}/run
state_dir = {directory}/state
instance_name = bench-{port}
log_path = {directory}/log
protocols = pop3
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
mail_location = maildir:~/Maildir
first_valid_uid = 1
mail_max_userip_connections = 100000
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={mail_id} gid={mail_id} home={corpus}/%u allow_all_users=yes
}}
service pop3-login {{
  inet_listener pop3 {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener pop3s {{
    port = 0
  }}
}}
"""

_TUNED = """\
pop3_fast_size_lookups = yes
pop3_no_flag_updates = yes
pop3_lock_session = no
maildir_very_dirty_syncs = yes
mail_fsync = never
auth_cache_size = 16M
auth_cache_verify_password_with_worker = no
verbose_proctitle = no
shutdown_clients = yes
service pop3-login {
  service_count = 0
  client_limit = 12000
  process_min_avail = 1
  process_limit = 1
  vsz_limit = 1G
}
service pop3 {
  service_count = 0
  client_limit = 1
  process_min_avail = 4
  process_limit = 12000
  vsz_limit = 1G
}
service auth {
  client_limit = 30000
}
service anvil {
  client_limit = 30000
}
service stats {
  client_limit = 30000
}
"""

_DEFAULT = """\
service pop3-login {
  process_limit = 4000
}
service pop3 {
  process_limit = 4000
}
service auth {
  client_limit = 20000
}
service anvil {
  client_limit = 20000
}
service stats {
  client_limit = 20000
}
"""

_POPLIN = """\
version = 1

[server]
workers = 1
state_directory = "state"

[[listener]]
address = "127.0.0.1:{port}"
tls = "none"

[authentication]
allow_cleartext = "loopback"

[[authentication.backend]]
type = "password-file"
path = "{users}"

[maildrop]
type = "maildir"
path = "{corpus}/{{user}}/Maildir"

[limits]
connections = 20000
connections_per_address = 20000
"""


class NotAvailable(Exception):
    """This server cannot be run here; the text says why."""


@dataclass(slots=True)
class Server:
    """A server that answers on `port`; `pid` is the root of its process tree."""

    name: str
    port: int
    pid: int
    process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """End it by its pid, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        if self.process is not None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            return
        for _ in range(100):
            if not Path(f"/proc/{self.pid}").exists():
                return
            time.sleep(0.05)


Start = Callable[[Place], Server]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def _answers(port: int, process: subprocess.Popen[bytes] | None, seconds: float = 20) -> bool:
    """Whether a greeting comes within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and (process is None or process.poll() is None):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as client:
            if client.recv(4) == b"+OK ":
                client.sendall(b"QUIT\r\n")
                return True
        time.sleep(0.05)
    return False


def install_dovecot() -> str:
    """Dovecot's path; where it is absent it is installed, without being started.

    Raises:
        NotAvailable: that cannot be done here.
    """
    found = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found:
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotAvailable("Dovecot is not installed, and only root on a Debian can have it installed from here")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "dovecot-pop3d"]):
        subprocess.run(["apt-get", "-qq", *arguments], check=True, env=environment, stdout=sys.stderr)
    return install_dovecot()


def _dovecot(place: Place, kind: str) -> Server:
    program = install_dovecot()
    if os.geteuid() != 0:
        raise NotAvailable("Dovecot has to be started by root")
    directory, port = place.work / f"dovecot-{kind}", free_port()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o755)
    configuration = directory / "dovecot.conf"
    common = _COMMON.format(directory=directory, port=port, mail_id=MAIL_ID, corpus=place.corpus)
    configuration.write_text(common + (_TUNED if kind == "tuned" else _DEFAULT))
    subprocess.run(place.on_core(0, program, "-c", configuration), check=True, stderr=subprocess.DEVNULL)
    if not _answers(port, None):
        raise NotAvailable(f"Dovecot ({kind}) does not answer, see {directory}/log")
    return Server(f"dovecot-{kind}", port, int((directory / "run" / "master.pid").read_text()))


def _poplin(place: Place, name: str, loop: str, arguments: list[str], port: int) -> Server:
    environment = {**os.environ, "PYTHONPATH": str(place.source), "POPLIN_LOOP": loop}
    log = (place.work / f"{name}.log").open("wb")
    with log:
        command = place.on_core(0, sys.executable, *arguments)
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=place.work)
    if not _answers(port, process):
        process.kill()
        raise NotAvailable(f"{name} does not answer, see {log.name}")
    return Server(name, port, process.pid, process)


def _library(place: Place, loop: str) -> Server:
    port = free_port()
    script, maildirs = str(HERE / "library_server.py"), f"{place.corpus}/{{user}}/Maildir"
    arguments = [script, "--maildirs", maildirs, "--users", str(place.users), "--port", str(port)]
    return _poplin(place, f"poplin-{loop}", loop, arguments, port)


def _daemon(place: Place, loop: str) -> Server:
    port, directory = free_port(), place.work / "daemon"
    (directory / "state").mkdir(parents=True, exist_ok=True)
    configuration = directory / f"poplin-{loop}.toml"
    configuration.write_text(_POPLIN.format(port=port, users=place.users, corpus=place.corpus))
    arguments = ["-m", "poplin", "serve", "--config", str(configuration)]
    return _poplin(place, f"serve-{loop}", loop, arguments, port)


SERVERS: dict[str, Start] = {
    "dovecot-tuned": lambda place: _dovecot(place, "tuned"),
    "dovecot-default": lambda place: _dovecot(place, "default"),
    "poplin-uvloop": lambda place: _library(place, "uvloop"),
    "poplin-asyncio": lambda place: _library(place, "asyncio"),
    "serve-uvloop": lambda place: _daemon(place, "uvloop"),
    "serve-asyncio": lambda place: _daemon(place, "asyncio"),
}
"""Every server by name. ``poplin-*`` is the library, ``serve-*`` the daemon as `poplin serve` starts it."""
