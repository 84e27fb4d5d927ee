"""Imports only go down: each rule of the plan of the house is a test here.

The rules are read from the source itself (every import, those for the type checker and those inside
functions included), so no circle hides behind TYPE_CHECKING. What an import really loads is asked of a fresh
interpreter that sees no installed package at all.
"""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src"
PACKAGE = SOURCE / "poplin"

GROUND = frozenset(
    {"errors", "limits", "identity", "content", "calling", "abilities", "values", "terms", "threads", "spelling"}
)
ROOF = frozenset({"daemon", "web", "tools", "cli", "commands", "testing", "__main__"})

# The faces of the library that are a module of their own.
FACES = frozenset({"callbacks", "command_server"})

# Storey -> the storeys that it may import from. "face" is poplin/__init__.py.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "ground": frozenset(),
    "protocol": frozenset({"ground"}),
    "authentication": frozenset({"ground"}),
    "maildrops": frozenset({"ground"}),
    "plugins": frozenset({"ground", "protocol", "maildrops"}),
    "session": frozenset({"ground", "protocol", "plugins", "authentication", "maildrops"}),
    "server": frozenset({"ground", "protocol", "plugins", "session", "authentication", "maildrops"}),
    "callbacks": frozenset({"ground", "plugins", "authentication", "maildrops"}),
    "delivery": frozenset({"ground", "maildrops"}),
    # The command classes stand beside it: they fill the middle of the pipe.
    "command_server": frozenset({"ground", "protocol", "plugins", "session", "server", "authentication", "maildrops"}),
    "face": frozenset({"ground", "protocol", "plugins", "session", "authentication", "maildrops", "server", *FACES}),
}

# Within these packages a file may import these, the base and the pieces that several share; never a backend.
SHARED = {
    "authentication": frozenset(
        {"base", "mechanisms", "apop", "user_names", "saslprep", "scram_records", "crypt_hashes", "schemes"}
    ),
    "maildrops": frozenset({"base", "unique_ids", "locking", "rendering"}),
}
# The engine (session, server) sees contracts and pure mechanisms, and chooses no implementation.
CONTRACTS = frozenset({"maildrops.base", "authentication.base", "authentication.mechanisms"})

STANDARD_LIBRARY = frozenset(sys.stdlib_module_names)
NEVER = {
    "ground": frozenset({"asyncio", "ssl", "socket"}),
    "protocol": frozenset({"asyncio", "ssl", "socket", "time", "threading", "logging", "select", "selectors"}),
    "session": frozenset({"asyncio", "ssl", "socket", "select", "selectors"}),
}
# The core dependencies, and the only storeys that use them.
CORE_DEPENDENCIES = {"msgspec": frozenset({"daemon"}), "click": frozenset({"cli", "commands"})}


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target, and where it stands."""

    importer: str
    target: str
    line: int
    lazy: bool
    """Inside a function, or for the type checker alone: importing the module does not run it."""

    def __str__(self) -> str:
        return f"{self.importer.replace('.', '/')}.py:{self.line} imports {self.target}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def is_for_type_checker(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def statements(node: ast.AST, lazy: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, lazy
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from statements(child, lazy or inside or is_for_type_checker(child))


def imports_of(module: str) -> Iterator[Import]:
    tree = ast.parse(MODULES[module].read_text("utf-8"), str(MODULES[module]))
    for statement, lazy in statements(tree):
        if isinstance(statement, ast.Import):
            targets = [alias.name for alias in statement.names]
        else:
            assert statement.level == 0, f"{module}:{statement.lineno}: write imports out, from the package on"
            origin = statement.module or ""
            targets = [f"{origin}.{alias.name}" for alias in statement.names]
            targets = [target if target in MODULES else origin for target in targets]
        for target in targets:
            yield Import(module, target, statement.lineno, lazy)


ALL_IMPORTS = [found for module in MODULES for found in imports_of(module)]
OUR_IMPORTS = [found for found in ALL_IMPORTS if found.target.partition(".")[0] == "poplin"]
FOREIGN_IMPORTS = [found for found in ALL_IMPORTS if found.target.partition(".")[0] not in {"poplin", "__future__"}]


def storey(module: str) -> str:
    _, _, rest = module.partition(".")
    name = rest.partition(".")[0]
    if not name:
        return "face"
    return "ground" if name in GROUND else name


def inner(module: str) -> str:
    """The name inside its storey's package: ``base`` for ``poplin.maildrops.base``."""
    return ".".join(module.split(".")[2:])


def listed(found: list[Import]) -> str:
    return "\n".join(map(str, found))


def test_the_rules_speak_of_every_storey() -> None:
    unknown = {storey(module) for module in MODULES} - set(MAY_IMPORT) - ROOF
    assert not unknown, f"say in this file what these may import: {sorted(unknown)}"


def test_there_is_no_import_circle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for found in OUR_IMPORTS:
        if found.target != found.importer:
            graph[found.importer].add(found.target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize("name", [*MAY_IMPORT])
def test_a_storey_imports_only_from_below(name: str) -> None:
    wrong = [
        found
        for found in OUR_IMPORTS
        if storey(found.importer) == name
        and storey(found.target) not in MAY_IMPORT[name] | {name}
        # pop3_upstream is a client of another server: the client's half of the protocol is what it is made of.
        and (found.importer, found.target) != ("poplin.maildrops.pop3_upstream", "poplin.protocol.client")
    ]
    assert not wrong, listed(wrong)


def test_nothing_below_the_roof_imports_the_roof() -> None:
    wrong = [found for found in OUR_IMPORTS if storey(found.importer) not in ROOF and storey(found.target) in ROOF]
    assert not wrong, listed(wrong)


def test_nothing_below_the_roof_imports_the_face() -> None:
    """The face collects names for users; a storey that used it would reach everything above itself."""
    wrong = [
        found
        for found in OUR_IMPORTS
        if storey(found.target) == "face" and storey(found.importer) not in ROOF | {"face"}
    ]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("package", [*SHARED])
def test_no_backend_imports_another(package: str) -> None:
    prefix = f"poplin.{package}."
    allowed = {prefix + name for name in SHARED[package]}
    wrong = [
        found
        for found in OUR_IMPORTS
        if found.importer.startswith(prefix)
        and found.target.startswith(prefix)
        and found.target not in allowed
        and not is_own_piece(found)
    ]
    assert not wrong, listed(wrong)


def is_own_piece(found: Import) -> bool:
    """A backend of several files names them after itself (``maildir_index`` of ``maildir``), or is a package."""
    importer, target = inner(found.importer).partition(".")[0], inner(found.target).partition(".")[0]
    return importer.partition("_")[0] == target.partition("_")[0]


@pytest.mark.parametrize("package", [*SHARED])
def test_what_backends_share_imports_no_backend(package: str) -> None:
    prefix = f"poplin.{package}."
    shared = {prefix + name for name in SHARED[package]}
    wrong = [
        found
        for found in OUR_IMPORTS
        if found.importer in shared and found.target.startswith(prefix) and found.target not in shared
    ]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("engine", ["plugins", "session", "server"])
def test_the_engine_sees_contracts_and_no_backend(engine: str) -> None:
    wrong = [
        found
        for found in OUR_IMPORTS
        if storey(found.importer) == engine
        and storey(found.target) in {"maildrops", "authentication"}
        and found.target.removeprefix("poplin.") not in CONTRACTS
    ]
    assert not wrong, listed(wrong)


@pytest.mark.parametrize("name", [*NEVER])
def test_a_pure_storey_stays_pure(name: str) -> None:
    """Sans-IO: no loop, no socket, no TLS, and in the protocol no clock either.

    Inside a function is allowed on the ground floor alone, where a call that needs a thread asks for one.
    """
    wrong = [
        found
        for found in FOREIGN_IMPORTS
        if storey(found.importer) == name
        and found.target.partition(".")[0] in NEVER[name]
        and not (name == "ground" and found.lazy)
    ]
    assert not wrong, listed(wrong)


def test_the_protocol_needs_the_standard_library_alone() -> None:
    wrong = [
        found
        for found in FOREIGN_IMPORTS
        if storey(found.importer) in {"ground", "protocol", "session", "plugins"}
        and found.target.partition(".")[0] not in STANDARD_LIBRARY
    ]
    assert not wrong, listed(wrong)


def test_an_optional_package_is_imported_only_where_it_is_used() -> None:
    """An install without extras imports every module; so an extra's package is imported inside a function."""
    wrong = []
    for found in FOREIGN_IMPORTS:
        name = found.target.partition(".")[0]
        core = storey(found.importer) in CORE_DEPENDENCIES.get(name, frozenset())
        if name not in STANDARD_LIBRARY and not core and not found.lazy:
            wrong.append(found)
    assert not wrong, listed(wrong)


def loaded_by(statement: str) -> set[str]:
    """The modules that `statement` loads in an interpreter that knows the standard library and our source."""
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(SOURCE)!r})\n"
        "before = set(sys.modules)\n"
        f"{statement}\n"
        "print(*sorted(set(sys.modules) - before), sep='\\n')\n"
    )
    output = subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", program], check=True, capture_output=True, text=True
    )
    assert output.stderr == ""
    return set(output.stdout.split())


HEAVY = {"asyncio", "ssl", "_ssl", "socket", "_socket", "selectors", "select", "subprocess", "multiprocessing"}
HEAVY |= {"concurrent.futures", "email", "http", "urllib.request", "sqlite3", "tomllib"}


def test_importing_poplin_loads_nothing_heavy() -> None:
    loaded = loaded_by("import poplin")
    assert "poplin" in loaded
    assert not loaded & (HEAVY | {"logging", "inspect", "dataclasses"})


@pytest.mark.parametrize("module", ["protocol", "errors", "limits", "identity", "content", "maildrops.base"])
def test_importing_a_pure_module_loads_nothing_heavy(module: str) -> None:
    assert not loaded_by(f"import poplin.{module}") & HEAVY


def test_every_module_imports_without_any_extra() -> None:
    """Only the roof needs the core dependencies; the rest is importable from the standard library alone."""
    modules = [module for module in MODULES if storey(module) not in ROOF]
    loaded = loaded_by("\n".join(f"import {module}" for module in modules))
    assert set(modules) <= loaded


def test_importing_poplin_touches_no_logger_and_prints_nothing() -> None:
    program = (
        "import sys, logging\n"
        f"sys.path.insert(0, {str(SOURCE)!r})\n"
        "import poplin\n"
        "[getattr(poplin, name) for name in poplin.__all__]\n"
        "loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]\n"
        "ours = [one for one in loggers if one.handlers or (one.level and one is not logging.root)]\n"
        "assert not ours, ours\n"
        "assert logging.root.level == logging.WARNING\n"
    )
    output = subprocess.run([sys.executable, "-I", "-S", "-c", program], check=False, capture_output=True, text=True)
    assert (output.returncode, output.stdout, output.stderr) == (0, "", "")


def test_every_public_name_resolves_and_is_shown() -> None:
    import poplin

    shown = dir(poplin)
    assert len(poplin.__all__) == len(set(poplin.__all__))
    for name in poplin.__all__:
        assert getattr(poplin, name) is not None
        assert name in shown


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    import poplin

    misspelt = "BackgroundSever"
    with pytest.raises(AttributeError, match="BackgroundServer"):
        getattr(poplin, misspelt)
