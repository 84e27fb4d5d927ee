"""The reference of the Python interface, from docstrings, with the first version of each name.

``generate.py`` writes it; only its contents are made here.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import itertools
import json
import pkgutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import EnumType
from pathlib import Path
from types import ModuleType

from tables import summary, table

import poplin
from poplin import plugins

__all__ = ["SINCE", "public_names", "python_page", "since_record"]


def python_page() -> str:
    """Every public name."""
    parts = [
        "# What does the package poplin offer to Python?\n",
        (
            "*Reference*, generated from the docstrings. First the names of `import poplin`, each of them loaded when it is\n"
            "first touched; then, section by section, the modules that hold more. All is annotated, and the package is\n"
            "marked `py.typed`. *Since* tells the first version that has a name.\n"
        ),
    ]
    since = recorded()
    homes: dict[str, list[str]] = {section: [] for section in _SECTIONS.values()}
    for name in poplin.__all__:
        if not name.startswith("__"):
            homes[_home(getattr(poplin, name))].append(name)
    for home, names in homes.items():
        parts.append(f"## {home}\n")
        parts += [_entry(name, getattr(poplin, name), since[f"poplin.{name}"]) for name in sorted(names)]
        for module, inside in _modules_of(home).items():
            parts += _module(module, inside, since)
    return "\n".join(parts)


_SECTIONS = {
    "poplin.server": "Serving",
    "poplin.session": "Serving",
    "poplin.limits": "Serving",
    "poplin.callbacks": "Callbacks",
    "poplin.identity": "Callbacks",
    "poplin.calling": "Callbacks",
    "poplin.command_server": "Command classes",
    "poplin.protocol": "Command classes",
    "poplin.plugins": "Plugins and events",
    "poplin.maildrops": "Maildrops",
    "poplin.content": "Maildrops",
    "poplin.authentication": "Authenticators",
    "poplin.errors": "Errors",
}
"""The section of a name, by the package or module that it is made in; the sections in their order."""

_MODULES: Mapping[str, Mapping[str, str]] = {
    "Serving": {
        "poplin.server.server": "Progress ServiceObject",
        "poplin.server.hub": "Totals",
        "poplin.server.addresses": "ListenError ListenErrors",
        "poplin.terms": "NEVER Expiry Terms HasTerms",
    },
    "Callbacks": {
        "poplin.identity": "MaybeAwaitable TlsFacts",
        "poplin.maildrops.callbacks_content": "Pieces Retrieved",
    },
    "Command classes": {
        "poplin.protocol.replies": "Ok Err MultiLine Continuation Status Reply After",
        "poplin.protocol.commands": "",
    },
    "Maildrops": {
        "poplin.maildrops.base": "LockPolicy Previews Measures MarksRead",
        "poplin.maildrops.memory": "",
        "poplin.maildrops.maildir": "Maildirs",
    },
    "Authenticators": {
        "poplin.authentication.base": "",
        "poplin.authentication.callbacks": "",
        "poplin.authentication.password_file": "",
    },
    "Errors": {"poplin.errors": ""},
}
"""Modules whose names are public without being names of the package, and which names; ``""``: all of ``__all__``.
Those of ``poplin.plugins`` all are."""


def _modules_of(section: str) -> Mapping[str, list[str]]:
    """The modules of a section, with their public names."""
    modules: dict[str, str] = dict(_MODULES.get(section, {}))
    if section == "Plugins and events":
        modules = {f"poplin.plugins.{one.name}": "" for one in pkgutil.iter_modules(plugins.__path__)}
    return {module: names.split() or list(importlib.import_module(module).__all__) for module, names in modules.items()}


def _module(module: str, names: list[str], since: Mapping[str, str]) -> list[str]:
    """What a module has beside the names that the package shows: classes, functions, and the text of constants."""
    loaded = importlib.import_module(module)
    texts = constants(loaded)
    shown = [name for name in names if name not in poplin.__all__]
    parts = [f"### {module}\n\n{_docstring(loaded)}\n"] if shown else []
    for name in shown:
        thing = getattr(loaded, name)
        version = since[f"{module}.{name}"]
        if isinstance(thing, type) or inspect.isfunction(thing):
            parts.append(_entry(f"{module.rpartition('.')[2]}.{name}", thing, version, level=4))
        elif name not in texts:
            raise ValueError(f"{module}.{name} has no text below it: the reference needs one")
        else:
            parts.append(f"#### {module.rpartition('.')[2]}.{name}\n\n*Since {version}.* {texts[name]}\n")
    return parts


def constants(module: ModuleType) -> Mapping[str, str]:
    """The strings behind assignments: what a module says of its constants and types."""
    return _texts(ast.parse(inspect.getsource(module)).body)


def _texts(body: Sequence[ast.stmt]) -> dict[str, str]:
    found = {}
    for statement, after in itertools.pairwise(body):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[target.id] = " ".join(str(after.value.value).split()).replace("``", "`")
    return found


SINCE = Path(__file__).resolve().parent / "reference" / "since.json"
"""The first version that has a name; written at generating, so that a new name gets the version of that day."""


@functools.cache
def public_names() -> list[str]:
    """Every name of the Python page, as written in an import."""
    found = {f"poplin.{name}" for name in poplin.__all__ if not name.startswith("__")}
    for section in _SECTIONS.values():
        found |= {f"{module}.{name}" for module, names in _modules_of(section).items() for name in names}
    return sorted(found)


def recorded() -> dict[str, str]:
    """The names of today with their first version; one that is new is of today's version."""
    known: dict[str, str] = json.loads(SINCE.read_text(encoding="utf-8")) if SINCE.exists() else {}
    release = ".".join(poplin.__version__.split(".")[:2])
    return {name: known.get(name, release) for name in public_names()}


def _home(thing: object) -> str:
    module = ".".join(getattr(thing, "__module__", "").split(".")[:2])
    if module not in _SECTIONS:
        raise ValueError(f"{thing!r}: give the names of {module} a section of the reference, in docs/generate.py")
    return _SECTIONS[module]


def _entry(name: str, thing: object, since: str, level: int = 3) -> str:
    return f"{'#' * level} {name}\n\n*Since {since}.* {_docstring(thing)}{_members(thing)}\n"


def _docstring(thing: object) -> str:
    text = inspect.getdoc(thing)
    if not text:
        raise ValueError(f"{thing!r} has no docstring: the reference needs one")
    if isinstance(thing, EnumType):
        signature = f"Members: {', '.join(f'`{name}`' for name in thing.__members__)}\n\n"
    else:
        signature = f"Parameters: {_parameters(thing)}\n\n" if callable(thing) else ""
    text = text.replace("\n\nRaises:\n", "\n\nRaises:\n\n").replace("``", "`")
    return f"{signature}{_list_raises(text)}"


def _list_raises(text: str) -> str:
    """The indented lines of a ``Raises:`` part as a list."""
    return "\n".join(
        f"- {line.strip()}" if line.startswith("    ") and ":" in line else line for line in text.split("\n")
    )


def _parameters(thing: Callable[..., object]) -> str:
    try:
        parameters = inspect.signature(thing).parameters.values()
    except ValueError:
        return "none"
    return ", ".join(f"`{_parameter(one)}`" for one in parameters if one.name not in {"self", "cls"}) or "none"


def _parameter(one: inspect.Parameter) -> str:
    """A parameter and its default; one whose `repr` says nothing, or another thing each time, is only hinted at."""
    stars = "*" * (one.kind is one.VAR_POSITIONAL) + "**" * (one.kind is one.VAR_KEYWORD)
    if one.default is one.empty:
        return f"{stars}{one.name}"
    shown = repr(one.default)
    return f"{one.name}={'…' if shown.startswith('<') else shown}"


def _members(thing: object) -> str:
    """What a class has beside its constructor: fields with a text of their own, public methods and properties; not what
    it has from another class of this page."""
    if not isinstance(thing, type) or isinstance(thing, EnumType):
        return ""
    rows: dict[str, tuple[str, str]] = {}
    public = public_names()
    for cls in thing.__mro__:
        elsewhere = cls is not thing and any(name.endswith(f".{cls.__name__}") for name in public)
        if cls.__module__.startswith("poplin.") and not elsewhere:
            for name, row in [*_fields(cls), *_methods(cls)]:
                rows.setdefault(name, row)
    return "\n\n" + table(("member", "meaning"), rows.values()) if rows else ""


def _fields(cls: type) -> Iterator[tuple[str, tuple[str, str]]]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    for name, text in _texts(tree.body if isinstance(tree, ast.ClassDef) else []).items():
        if not name.startswith("_"):
            yield name, (f"`{name}`", text)


def _methods(cls: type) -> Iterator[tuple[str, tuple[str, str]]]:
    for name, member in vars(cls).items():
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if name.startswith("_") or not inspect.getdoc(plain):
            continue
        if isinstance(plain, property):
            yield name, (f"`{name}`", summary(plain))
        elif inspect.isfunction(plain):
            names = _parameters(plain).replace("`", "")
            yield name, (f"`{name}({'' if names == 'none' else names})`", summary(plain))


def since_record() -> str:
    """`SINCE` as it is to be."""
    return json.dumps(recorded(), indent=2) + "\n"
