"""The documentation: generated pages are current, every block is run or says why not, every feature has a state."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import poplin
from poplin import errors
from poplin.plugins import events

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
FEATURES = {"P": 15, "A": 12, "S": 18, "F": 9, "O": 14}


def run(script: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(DOCS / script), *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_the_generated_pages_are_what_the_tables_say() -> None:
    done = run("generate.py", "--check")
    assert done.returncode == 0, done.stderr


def test_the_python_page_has_every_public_name_with_its_first_version() -> None:
    page = (DOCS / "reference" / "python.md").read_text("utf-8")
    entries = dict(re.findall(r"^#{3,4} (?:\w+\.)?(\w+)\n\n\*Since (\d+\.\d+)\.\*", page, re.MULTILINE))
    public = {name for name in poplin.__all__ if not name.startswith("__")} | {*events.__all__, *errors.__all__}
    assert public <= entries.keys()
    since = json.loads((DOCS / "reference" / "since.json").read_text("utf-8"))
    assert {name.rpartition(".")[2] for name in since} == entries.keys()
    release = tuple(map(int, poplin.__version__.split(".")[:2]))
    assert all(tuple(map(int, version.split("."))) <= release for version in since.values())


def test_the_pages_keep_their_rules_and_every_link_leads_somewhere() -> None:
    done = run("build.py")
    assert done.returncode == 0, done.stderr
    site = ROOT / "build" / "docs"
    assert "<table>" in (site / "reference" / "configuration.html").read_text("utf-8")


def test_every_page_is_in_the_map() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    missing = [
        str(page.relative_to(DOCS))
        for page in DOCS.rglob("*.md")
        if page.name != "index.md" and str(page.relative_to(DOCS)) not in index
    ]
    assert not missing


def test_every_feature_has_a_state() -> None:
    rows = re.findall(r"^\| ([A-Z]\d+) \| .+ \| (.+) \|$", (DOCS / "features.md").read_text("utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == [f"{part}{n}" for part, last in FEATURES.items() for n in range(1, last + 1)]
    for name, state in rows:
        assert re.fullmatch(r"works|partly: .+|not yet(: .+)?", state), f"{name}: {state}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) < 150


GOOD = """\
```python
print("octets", 12345)
```

It prints:

```text
octets …
```

<!-- sample: exit=3 -->
```sh
echo gone; exit 3
```

```text
gone
```
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


def test_a_page_whose_blocks_do_what_it_says_passes(page: Path) -> None:
    page.write_text(GOOD, "utf-8")
    done = run("run_samples.py", page)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 blocks on 1 pages ran, 0 failures\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param('```python\nprint("a")\n```\n\n```text\nb\n```\n', "this is not what", id="another output"),
        pytest.param("```python\n1 / 0\n```\n", "ZeroDivisionError", id="a program that fails"),
        pytest.param('```python\nx: int = "text"\n```\n', "Incompatible types", id="a type that is wrong"),
        pytest.param("```sh\nfalse\n```\n", "exit status 1", id="a command that fails"),
        pytest.param("```toml\nversion = 2\n```\n", "exit status 1", id="a configuration that is refused"),
        pytest.param("```json\n{}\n```\n", "give it a marker with the reason", id="a block that cannot run"),
        pytest.param("```text\nalone\n```\n", "the output of the block before it", id="output of nothing"),
        pytest.param("<!-- not run: -->\n```sh\ntrue\n```\n", "needs a reason", id="no reason"),
        pytest.param("<!-- sample: fiel=a.py -->\n```sh\ntrue\n```\n", "unknown word in the marker", id="a bad marker"),
        pytest.param("<!-- sample: file=a.py -->\n```python\n```\n", "the sample is never run", id="a file left lying"),
        pytest.param("<!-- sample: is=LICENSE -->\n```python\nx = 1\n```\n", "differs from LICENSE", id="another file"),
        pytest.param("<!-- sample: background -->\n```sh\ntrue\n```\n", "no line 'listening on'", id="no server"),
    ],
)
def test_a_block_that_does_something_else_fails(page: Path, text: str, told: str) -> None:
    page.write_text(text, "utf-8")
    done = run("run_samples.py", page)
    assert done.returncode == 1
    assert told in done.stderr
