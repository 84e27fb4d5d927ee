"""Run every fenced block of the README and of the documentation.

Usage: ``python docs/run_samples.py [PAGE…]``. Exit status 0 if every block did what its page says.

- ``python``: a program of its own, run in the page's scratch directory, and checked by ``mypy --strict``;
- ``sh``: run by the shell there, with this Python's programs and the ``poplin`` command at hand;
- ``toml``: a configuration, accepted by ``poplin check``;
- ``pop3``: a conversation (``C:`` and ``S:`` lines) held with the page's background server;
- ``text``: the output of the block before it; ``…`` stands for what varies, alone on a line for any lines.

Anything else, and any block that cannot run, carries a marker with the reason (`pages` tells which there are).
The ports 1110 and 1995 of the pages are replaced by free ones, so that samples run beside a running server.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pages import ROOT, Block, Page, all_pages

_SECONDS = 60
_MOST = 4000  # characters of output that a failure shows
_PORTS = ("1110", "1995")
_NOT_EVERYWHERE = ("curl", "openssl", "mpop", "fetchmail")
_RUNNABLE = ("python", "sh", "toml", "pop3")


class SampleError(Exception):
    """A block that does not do what its page says."""

    def __init__(self, block: Block, text: str) -> None:
        super().__init__(f"{block.where}: {text}")


class Background:
    """A server that a block started, and what it printed so far. Ended by its own process id."""

    def __init__(self, block: Block, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.block = block
        self._lines: list[str] = []
        self._taken = 0
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._await_listening()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.append(line)

    def _await_listening(self) -> None:
        end = time.monotonic() + _SECONDS
        while not any(line.startswith("listening on") for line in self._lines):
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise SampleError(self.block, f"no line 'listening on', but:\n{''.join(self._lines)}")
            time.sleep(0.02)
        # What it says beside that line follows at once: wait until it is silent.
        before = -1
        while before != len(self._lines):
            before = len(self._lines)
            time.sleep(0.2)

    def output(self) -> str:
        """What it printed since this was asked before."""
        lines = self._lines[self._taken :]
        self._taken += len(lines)
        return "".join(lines)

    def stop(self) -> None:
        """Ctrl-C; a good server then ends with exit status 0."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            status = self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise SampleError(self.block, "the server did not end on Ctrl-C") from None
        self._reader.join()
        if status:
            raise SampleError(self.block, f"the server ended with exit status {status}:\n{''.join(self._lines)}")

    def kill(self) -> None:
        """End it without manners; for failures."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Runner:
    """Runs the blocks of one page, in order, in one folder."""

    def __init__(self, page: Page, folder: Path, environment: Mapping[str, str]) -> None:
        self._page = page
        self._folder = folder
        self._environment = environment
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._background: Background | None = None
        self._output: tuple[Block, str] | None = None
        self.skipped: list[str] = []
        self.count = 0

    def run(self) -> None:
        """Run the page.

        Raises:
            SampleError: the first block that fails.
        """
        try:
            for block in self._page.blocks:
                self.count += self._block(block)
            self._end()
        finally:
            if self._background is not None:
                self._background.kill()

    def _block(self, block: Block) -> int:
        if block.reason:
            return 0
        if block.language == "text":
            self._compare(block)
            return 1
        if block.language not in _RUNNABLE:
            raise SampleError(
                block, f"a {block.language or 'plain'} block cannot run: give it a marker with the reason"
            )
        missing = [name for name in _NOT_EVERYWHERE if _calls(block, name) and shutil.which(name) is None]
        if missing:
            self._skip(block, f"needs {', '.join(missing)}")
            return 0
        runners = {"python": self._python, "sh": self._sh, "toml": self._toml, "pop3": self._pop3}
        self._output = None
        runners[block.language](block)
        return 1

    def _python(self, block: Block) -> None:
        name = block.words.get("file") or Path(block.words.get("is", "")).name or f"{sample_name(block)}.py"
        if "is" in block.words and (ROOT / block.words["is"]).read_text(encoding="utf-8") != block.text:
            raise SampleError(block, f"differs from {block.words['is']}")
        (self._folder / name).write_text(self._ported(block.text), encoding="utf-8")
        if "file" in block.words or "is" in block.words:
            self._must_be_used(block, name)
        elif "background" in block.words:
            self._start(block, [sys.executable, name])
        else:
            self._run(block, [sys.executable, name])

    def _are_free(self, block: Block) -> bool:
        """Whether the usual ports themselves can be used, for a program that takes no others."""
        self._ports = {port: port for port in _PORTS}
        try:
            for port in _PORTS:
                socket.create_server(("127.0.0.1", int(port))).close()
        except OSError:
            self._skip(block, f"port {port} is in use")
            return False
        return True

    def _skip(self, block: Block, reason: str) -> None:
        if os.environ.get("POPLIN_REQUIRE"):
            raise SampleError(block, reason)
        self.skipped.append(f"{block.where}: {reason}")
        self._output = None

    def _must_be_used(self, block: Block, name: str) -> None:
        later = self._page.blocks[self._page.blocks.index(block) + 1 :]
        stem = name.removesuffix(".py")
        if not any(re.search(rf"\b{re.escape(stem)}\b", other.text) for other in later if not other.reason):
            raise SampleError(block, f"no later block of this page uses {name}: the sample is never run")

    def _sh(self, block: Block) -> None:
        if "fixed" in block.words and not self._are_free(block):
            return
        for written in self._folder.glob("*.toml"):  # by `poplin init`, which knows only the usual ports
            written.write_text(self._ported(written.read_text(encoding="utf-8")), encoding="utf-8")
        text = self._ported(block.text)
        if "background" in block.words:
            self._start(block, ["/bin/sh", "-c", f"exec {text}"])
        else:
            self._run(block, ["/bin/sh", "-e", "-c", text])

    def _toml(self, block: Block) -> None:
        name = block.words.get("file") or block.words.get("joins") or f"{sample_name(block)}.toml"
        path = self._folder / name
        before = path.read_text(encoding="utf-8") + "\n" if "joins" in block.words else ""
        path.write_text(before + self._ported(block.text), encoding="utf-8")
        self._run(block, ["poplin", "check", "--config", name])

    def _run(self, block: Block, command: Sequence[str]) -> None:
        try:
            done = subprocess.run(
                command, cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, timeout=_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise SampleError(block, f"not done after {_SECONDS} s") from None
        output = done.stdout.decode(errors="replace")
        if done.returncode != int(block.words.get("exit", "0")):
            raise SampleError(block, f"exit status {done.returncode}:\n{output[-_MOST:]}")
        self._output = (block, output)

    def _start(self, block: Block, command: Sequence[str]) -> None:
        self._end()
        self._background = Background(block, command, self._folder, self._environment)
        self._output = (block, self._background.output())

    def _end(self) -> None:
        background, self._background = self._background, None
        if background is not None:
            background.stop()

    def _compare(self, block: Block) -> None:
        if "ends" in block.words and self._background is not None:
            background = self._background
            self._end()
            self._output = (background.block, background.output())
        elif self.skipped and self._output is None:
            return
        if self._output is None:
            raise SampleError(block, "a text block is the output of the block before it, and there is none")
        of, output = self._output
        self._output = None
        for shown, real in self._ports.items():
            output = re.sub(rf"\b{real}\b", shown, output)
        if not matches(block.text, output):
            raise SampleError(block, f"this is not what {of.where} prints:\n{output}")

    def _pop3(self, block: Block) -> None:
        with socket.create_connection(("127.0.0.1", int(self._ports["1110"])), _SECONDS) as connection:
            stream = connection.makefile("rb")
            for line in block.text.splitlines():
                speaker, _, said = line.partition(": ")
                if speaker == "C":
                    connection.sendall(said.encode() + b"\r\n")
                elif speaker == "S":
                    heard = stream.readline().decode(errors="replace").rstrip("\r\n")
                    if not matches(said, heard):
                        raise SampleError(block, f"expected {said!r}, heard {heard!r}")
                else:
                    raise SampleError(block, f"a conversation has C: and S: lines, not {line!r}")

    def _ported(self, text: str) -> str:
        for shown, real in self._ports.items():
            text = re.sub(rf"\b{shown}\b", real, text)
        return text


def matches(expected: str, output: str) -> bool:
    """Whether `output` is what `expected` says, ``…`` standing for anything on a line, or for any lines."""
    pattern = ""
    for line in expected.strip("\n").split("\n"):
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n"
    plain = output.replace("\r", "").strip("\n") + "\n"
    return re.fullmatch(pattern, plain) is not None


def sample_name(block: Block) -> str:
    """A name for a block without one, distinct within the documentation."""
    stem = "_".join(block.page.with_suffix("").parts[-2:])
    return re.sub(r"\W", "_", f"sample_{stem}_{block.line}").lower()


def _calls(block: Block, program: str) -> bool:
    return block.language == "sh" and re.search(rf"(?m)^\s*{program}\b|\|\s*{program}\b", block.text) is not None


def _free_ports(count: int) -> list[str]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [str(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def check_types(pages: Iterable[Page], folder: Path) -> str:
    """Check every Python block by mypy, all at once.

    Returns:
        What is wrong, with the page and line of the block; ``""`` if nothing is.

    Raises:
        SampleError: two blocks have one name.
    """
    blocks: dict[str, Block] = {}
    for page in pages:
        for block in page.blocks:
            if block.language == "python" and not block.reason:
                name = block.words.get("file") or Path(block.words.get("is", "")).name or f"{sample_name(block)}.py"
                if blocks.setdefault(name, block).text != block.text:
                    raise SampleError(block, f"{name} is another sample at {blocks[name].where}: give it another name")
                (folder / name).write_text(block.text, encoding="utf-8")
    if not blocks:
        return ""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "--follow-imports=silent",
            f"--cache-dir={ROOT / '.mypy_cache' / 'samples'}", *sorted(blocks),
        ],
        cwd=folder, env={**os.environ, "MYPYPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not done.returncode:
        return ""
    told = done.stdout + done.stderr
    for name, block in blocks.items():
        told = told.replace(f"{name}:", f"{block.where} ({name}):")
    return told


def main(arguments: Sequence[str]) -> int:
    """Run the pages named, or all."""
    pages = [Page(Path(argument).resolve()) for argument in arguments] or all_pages()
    failures: list[str] = []
    blocks = 0
    with tempfile.TemporaryDirectory(prefix="poplin-samples-") as scratch:
        root = Path(scratch)
        environment = _environment(root)
        (root / "types").mkdir()
        try:
            failures += filter(None, [check_types(pages, root / "types")])
        except SampleError as error:
            failures.append(str(error))
        for number, page in enumerate(pages):
            folder = root / f"page-{number}"
            folder.mkdir()
            runner = Runner(page, folder, environment)
            try:
                runner.run()
            except SampleError as error:
                failures.append(str(error))
            blocks += runner.count
            for skipped in runner.skipped:
                print(f"skipped: {skipped}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{blocks} blocks on {len(pages)} pages ran, {len(failures)} failures")
    return 1 if failures else 0


def _environment(root: Path) -> dict[str, str]:
    """The machine's environment without its own poplin settings; `python` and `poplin` are this interpreter's."""
    programs = root / "bin"
    programs.mkdir()
    for name, words in (("python", ""), ("poplin", " -m poplin")):
        path = programs / name
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}"{words} "$@"\n', encoding="utf-8")
        path.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POPLIN_")}
    return kept | {
        "HOME": str(root),
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'tests'}",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
