"""Named plugins in an order that can be changed while sessions run. No command, reply or event in this file."""

from __future__ import annotations

from poplin.plugins.base import Plugin

__all__ = ["Order"]


class Order:
    """The plugins of a pipeline. Every change makes a new tuple: whoever goes through the old one is not disturbed.

    A plugin is spoken of by its name or by itself. A name is the class's, unless another is given.
    """

    __slots__ = ("_names", "plugins")

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self.plugins: tuple[Plugin, ...] = ()
        """In the order in which commands meet them."""

    def __len__(self) -> int:
        return len(self.plugins)

    def list(self) -> list[tuple[str, Plugin]]:
        """Names and plugins, in order."""
        return list(zip(self._names, self.plugins, strict=True))

    def index(self, target: str | Plugin) -> int:
        """Where a plugin stands, from 0.

        Raises:
            LookupError: it is not in the pipeline; names those that are.
        """
        sought: tuple[object, ...] = self._names if isinstance(target, str) else self.plugins
        for position, found in enumerate(sought):
            if found is target or (isinstance(target, str) and found == target):
                return position
        known = ", ".join(self._names) or "it is empty"
        raise LookupError(f"no plugin {target!r} in the pipeline ({known})")

    def get(self, target: str) -> Plugin:
        """The plugin of that name.

        Raises:
            LookupError: there is none.
        """
        return self.plugins[self.index(target)]

    def name_of(self, plugin: Plugin) -> str:
        """The name of a plugin; its class's if it is not (any more) in the pipeline."""
        for name, found in zip(self._names, self.plugins, strict=True):
            if found is plugin:
                return name
        return type(plugin).__name__

    def push(self, plugin: Plugin, name: str = "") -> str:
        """Add at the end; answers the name.

        Raises:
            ValueError: the name, or the plugin, is in the pipeline already.
        """
        return self._insert(len(self), plugin, name)

    def unshift(self, plugin: Plugin, name: str = "") -> str:
        """Add in front. Raises as `push`."""
        return self._insert(0, plugin, name)

    def insert_before(self, target: str | Plugin, plugin: Plugin, name: str = "") -> str:
        """Add in front of `target`. Raises as `push` and `index`."""
        return self._insert(self.index(target), plugin, name)

    def insert_after(self, target: str | Plugin, plugin: Plugin, name: str = "") -> str:
        """Add behind `target`. Raises as `push` and `index`."""
        return self._insert(self.index(target) + 1, plugin, name)

    def pop(self) -> Plugin:
        """Remove the last one.

        Raises:
            LookupError: the pipeline is empty.
        """
        return self._remove(len(self) - 1)

    def shift(self) -> Plugin:
        """Remove the first one.

        Raises:
            LookupError: the pipeline is empty.
        """
        return self._remove(0)

    def remove(self, target: str | Plugin) -> Plugin:
        """Remove a plugin.

        Raises:
            LookupError: it is not in the pipeline.
        """
        return self._remove(self.index(target))

    def replace(self, target: str | Plugin, plugin: Plugin, name: str = "") -> Plugin:
        """Put another plugin in the place of `target`; answers the old one. Raises as `push` and `index`."""
        position = self.index(target)
        self._check_new(plugin, name or type(plugin).__name__, without=position)
        old = self._remove(position)
        self._insert(position, plugin, name)
        return old

    def bump_up(self, target: str | Plugin, places: int = 1) -> int:
        """Move a plugin so many places towards the front; answers where it stands then."""
        return self._move(self.index(target), -places)

    def bump_down(self, target: str | Plugin, places: int = 1) -> int:
        """Move a plugin so many places towards the end; answers where it stands then."""
        return self._move(self.index(target), places)

    def added(self, name: str, plugin: Plugin) -> None:
        """A plugin was added: for whoever builds on this class."""

    def removed(self, name: str, plugin: Plugin) -> None:
        """A plugin was removed: for whoever builds on this class."""

    def _check_new(self, plugin: Plugin, name: str, without: int = -1) -> None:
        if not isinstance(plugin, Plugin):
            raise TypeError(f"expected a poplin.Plugin, found {type(plugin).__name__}")
        for position, (known, found) in enumerate(self.list()):
            if position != without and (known == name or found is plugin):
                raise ValueError(f"a plugin {known!r} is in the pipeline already; give this one another name")

    def _insert(self, position: int, plugin: Plugin, name: str) -> str:
        name = name or type(plugin).__name__
        self._check_new(plugin, name)
        self._names = (*self._names[:position], name, *self._names[position:])
        self.plugins = (*self.plugins[:position], plugin, *self.plugins[position:])
        self.added(name, plugin)
        return name

    def _remove(self, position: int) -> Plugin:
        if not 0 <= position < len(self):
            raise LookupError("the pipeline is empty")
        name, plugin = self._names[position], self.plugins[position]
        self._names = self._names[:position] + self._names[position + 1 :]
        self.plugins = self.plugins[:position] + self.plugins[position + 1 :]
        self.removed(name, plugin)
        return plugin

    def _move(self, position: int, places: int) -> int:
        rows = self.list()
        row = rows.pop(position)
        position = max(0, min(len(rows), position + places))
        rows.insert(position, row)
        self._names = tuple(name for name, _ in rows)
        self.plugins = tuple(plugin for _, plugin in rows)
        return position
