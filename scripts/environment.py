"""Make the private environment that the Makefile works in: ``environment.py DIRECTORY run|dev``.

Standard library only, because it runs before anything is installed. Two things live here: a virtual
environment with pip in it, whatever the machine lacks, and the packages that `pyproject.toml` names.

Debian's bare python3 has neither ensurepip nor pip. Then pip comes, in this order, from a wheel that lies
on the disk, from the index that pip's configuration names, or from Debian's own archive, which apt reads
as any user when its lists are kept in a private directory. No host is named here: pip and apt know theirs.
"""

from __future__ import annotations

import configparser
import hashlib
import html.parser
import importlib.util
import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse
import urllib.request
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = {"run": "[speed,certificates]", "dev": "[speed,passwords,certificates,test]"}
HELP = "install pip for it (Debian, Ubuntu: apt install python3-venv; Fedora: dnf install python3-pip), then try again"


def main(arguments: Sequence[str]) -> int:
    """Make or mend the environment; 0, or 1 with one line on standard error."""
    if len(arguments) != 2 or arguments[1] not in EXTRAS:
        print("usage: environment.py DIRECTORY run|dev", file=sys.stderr)
        return 2
    directory, kind = Path(arguments[0]).absolute(), arguments[1]
    try:
        python = make_environment(directory)
        run(python, "-m", "pip", "install", "--quiet", *packages(kind))
    except Failure as failure:
        print(f"environment: {failure}", file=sys.stderr)
        return 1
    return 0


class Failure(Exception):
    """A step that cannot be done; its text is one line that says what to do."""


def packages(kind: str) -> list[str]:
    """What pip is to install: poplin in place with its extras, and for ``dev`` the development group.

    The group is read here because only pip 25.1 and later can read it by itself.
    """
    wanted = ["--editable", f"{ROOT}{EXTRAS[kind]}"]
    if kind == "dev":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        wanted += [str(package) for package in project["dependency-groups"]["dev"]]
    return wanted


def make_environment(directory: Path) -> Path:
    """A virtual environment in `directory` whose pip works; its interpreter is returned."""
    python = directory / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and runs(python, "-m", "pip", "--version"):
        return python
    print(f"making the environment {directory} with Python {sys.version.split()[0]}", file=sys.stderr)
    with_pip = importlib.util.find_spec("ensurepip") is not None
    venv.EnvBuilder(clear=True, symlinks=os.name != "nt", with_pip=with_pip).create(directory)
    if not with_pip:
        with tempfile.TemporaryDirectory(prefix="poplin-pip-") as scratch:
            install_pip(python, directory, Path(scratch))
    return python


def install_pip(python: Path, directory: Path, scratch: Path) -> None:
    """Put pip into an environment that was made without it."""
    for find in WAYS_TO_PIP:
        wheel = find(scratch)
        if wheel is not None:
            # A wheel is a zip file: Python runs the pip inside it, and that pip installs itself.
            run(python, str(wheel / "pip"), "install", "--quiet", "--no-index", str(wheel))
            lend_authorities(directory, scratch)
            return
    raise Failure(f"this Python ({sys.executable}) has no pip, and none was found on disk or by apt; {HELP}")


def wheel_on_disk(_scratch: Path) -> Path | None:
    """The pip wheel that Debian's python3-pip-whl or the operator's find-links directory has."""
    directories = ["/usr/share/python-wheels", *setting("find-links").split()]
    wheels = [wheel for directory in directories for wheel in Path(directory).glob("pip-*-py3-none-any.whl")]
    return max(wheels, key=version_of, default=None)


def wheel_from_index(scratch: Path) -> Path | None:
    """The newest pip wheel of the index that pip is configured for; ``None`` if it is configured for none."""
    index = setting("index-url")
    if not index:
        return None
    try:
        page_address = f"{index.rstrip('/')}/pip/"
        links = Links()
        links.feed(fetch(page_address).decode("utf-8", "replace"))
        address = urllib.parse.urljoin(page_address, max(links.wheels, key=version_of))
        octets = fetch(address)
    except (OSError, ValueError) as error:
        print(f"environment: the index of pip's configuration gave no pip: {error}", file=sys.stderr)
        return None
    name, _, fragment = address.rpartition("/")[2].partition("#")
    algorithm, _, digest = fragment.partition("=")
    if algorithm == "sha256" and hashlib.sha256(octets).hexdigest() != digest:
        raise Failure(f"{name} arrived damaged; try again")
    wheel = scratch / urllib.parse.unquote(name)
    wheel.write_bytes(octets)
    return wheel


def wheel_from_apt(scratch: Path) -> Path | None:
    """Debian's pip wheel, fetched by apt without installing anything: any user may do that."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        return None
    for folder in ("lists/partial", "cache/archives/partial"):
        (scratch / folder).mkdir(parents=True)
    private = [
        *("-q", "-q", "-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"),
        *("-o", "APT::Sandbox::User=", "-o", "Debug::NoLocking=1", "-o", "Acquire::Languages=none"),
    ]
    if not runs("apt-get", *private, "update", cwd=scratch):
        return None
    if not runs("apt-get", *private, "download", "python3-pip-whl", "ca-certificates", cwd=scratch):
        return None
    for package in scratch.glob("*.deb"):
        run("dpkg-deb", "--extract", str(package), str(scratch))
    return next(scratch.glob("usr/share/python-wheels/pip-*.whl"), None)


def lend_authorities(directory: Path, scratch: Path) -> None:
    """On a machine that knows no certificate authority, let the environment's pip trust those that apt brought.

    Debian's pip looks for them only where the package ca-certificates would have put them.
    """
    authorities = sorted(scratch.glob("usr/share/ca-certificates/**/*.crt"))
    if not authorities or setting("cert") or Path("/etc/ssl/certs/ca-certificates.crt").exists():
        return
    bundle = directory / "authorities.pem"
    bundle.write_bytes(b"".join(authority.read_bytes() for authority in authorities))
    (directory / "pip.conf").write_text(f"[global]\ncert = {bundle}\n", "utf-8")


class Links(html.parser.HTMLParser):
    """The addresses of pip's wheels on a page of a package index."""

    def __init__(self) -> None:
        super().__init__()
        self.wheels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a link to a released wheel for this Python; yanked ones are marked and left out."""
        named = dict(attrs)
        address = named.get("href") or ""
        needs = re.search(r">=\s*3\.(\d+)", named.get("data-requires-python") or "")
        if needs and sys.version_info < (3, int(needs[1])):
            return
        if tag == "a" and "data-yanked" not in named and re.search(r"/pip-[\d.]+-py3-none-any\.whl(#|$)", address):
            self.wheels.append(address)


def version_of(wheel: Path | str) -> tuple[int, ...]:
    """The version in a wheel's name, for comparing."""
    found = re.search(r"pip-([\d.]+)", str(wheel).rpartition("/")[2])
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def setting(name: str) -> str:
    """What pip is told by its environment variables or its configuration files."""
    from_environment = os.environ.get(f"PIP_{name.upper().replace('-', '_')}")
    if from_environment:
        return from_environment
    parser = configparser.RawConfigParser()
    home = Path.home()
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    parser.read([*files, Path(os.environ.get("PIP_CONFIG_FILE", os.devnull))], "utf-8")
    return parser.get("global", name, fallback="")


def fetch(address: str) -> bytes:
    """The octets at `address`.

    Raises:
        OSError: it cannot be reached or trusted.
        ValueError: it is no address.
    """
    if not address.startswith(("https://", "http://", "file://")):
        raise ValueError(f"{address!r} is no address of an index")
    trusted = ssl.create_default_context(cafile=setting("cert") or None)
    with urllib.request.urlopen(address, timeout=60, context=trusted) as answer:
        octets: bytes = answer.read()
    return octets


def runs(*command: str | Path, cwd: Path | None = None) -> bool:
    """Whether `command` succeeds; it is not heard."""
    quiet = subprocess.DEVNULL
    return subprocess.run(command, cwd=cwd, stdin=quiet, stdout=quiet, stderr=quiet, check=False).returncode == 0


def run(*command: str | Path) -> None:
    """Run `command`, or fail naming it."""
    if subprocess.run(command, check=False).returncode:
        raise Failure(f"failed: {' '.join(map(str, command))}")


WAYS_TO_PIP: list[Callable[[Path], Path | None]] = [wheel_on_disk, wheel_from_index, wheel_from_apt]

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
