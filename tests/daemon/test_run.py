"""Open files: as many as connections may need, or a warning."""

import resource
import subprocess
import sys

import pytest

from daemon.command import environment

SCRIPT = """
import resource
from poplin.daemon.run import raise_descriptor_limit
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(raise_descriptor_limit({connections}))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "after", "warned"),
    [
        (256, 1024, 100, 264, False),
        (256, 1024, 700, 1024, False),
        (256, 1024, 5000, 1024, True),
        (1024, 1024, 10, 1024, False),
    ],
)
def test_the_limit_of_open_files_follows_the_connections(
    soft: int, hard: int, connections: int, after: int, warned: bool
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < hard:
        pytest.skip(f"fewer than {hard} open files are allowed here")
    script = SCRIPT.format(soft=soft, hard=hard, connections=connections)
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    told, limits = done.stdout.splitlines()
    assert limits == f"{after} {hard}"
    assert told.startswith("only 1024 open files are allowed here, for up to 5000") == warned
