"""Reads a YAML file of parameters as its author and DVC read it; a text with two readings is refused, with its line.

PyYAML follows YAML 1.1, and DVC, which hashes and fills in the same values, follows YAML 1.2 (ruamel.yaml). Numbers
such as 1e-3 are read as in 1.2; other plain values that the two read differently are errors. So are a key that stands
twice, a tag, and a file that grows beyond bounds, by depth or by anchors that repeat each other.
"""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from restorekit.errors import RestorekitError

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_VALUES = 50_000  # with each alias written out
_KIND = "tag:yaml.org,2002:"

# What YAML 1.2 (core schema) makes of a plain scalar; everything else is text.
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values only; a number may have an exponent without a dot."""


_Loader.add_implicit_resolver(f"{_KIND}float", _FLOAT, list("-+0123456789."))


def read_document(path: Path) -> Any:
    """The value in a YAML file; a RestorekitError names the line of whatever is not plain or not clear."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RestorekitError(f"{path} has more than {MAX_BYTES} bytes: it is no file of parameters")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RestorekitError(f"no {path.name} in {path.parent.resolve()}: run from the project's root") from None
    except OSError as error:
        raise RestorekitError(f"{path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise RestorekitError(f"{path} is not YAML: it is no text in UTF-8 ({error})") from error
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> Any:
    """The value of a YAML text; errors name `path`."""
    try:
        _check_events(text, path)  # before anything is built, by which a deep file would end the process
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return None
        _Check(path).values_in(node, 0)
        loader = _Loader("")
        try:
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number of thousands of digits, a date of month 13
        raise RestorekitError(f"{path} is not YAML: {error}") from error


def _check_events(text: str, path: Path) -> None:
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = _line(event)
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise RestorekitError(f"{path}, line {line}: a second document begins; write one, without ---")
        if depth > MAX_DEPTH:
            raise RestorekitError(f"{path}, line {line}: values are nested more than {MAX_DEPTH} deep")
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace(_KIND, "!!")
            raise RestorekitError(f"{path}, line {line}: the tag {shown} is not read; write a plain value")


class _Check:
    """Walks the nodes of one file, each once, however often it is repeated by an alias."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counted: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def values_in(self, node: yaml.Node, depth: int) -> tuple[int, int]:
        """(values, depth) of a node with all aliases written out."""
        if id(node) in self._counted:
            return self._counted[id(node)]
        if id(node) in self._open:
            raise self._error(node, "an anchor holds itself; write the values out")
        self._open.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            self._clear(node)
            below: list[yaml.Node] = []
        elif isinstance(node, yaml.MappingNode):
            self._keys(node)
            below = [one for pair in node.value for one in pair]
        else:
            below = list(node.value)
        inner = [self.values_in(one, depth + 1) for one in below]
        found = 1 + sum(count for count, _ in inner), 1 + max((deep for _, deep in inner), default=0)
        if found[0] > MAX_VALUES:
            raise self._error(node, f"with its anchors written out it holds more than {MAX_VALUES} values")
        if found[1] > MAX_DEPTH + 2:
            raise self._error(node, f"values are nested more than {MAX_DEPTH} deep")
        self._open.discard(id(node))
        self._counted[id(node)] = found
        return found

    def _keys(self, node: yaml.MappingNode) -> None:
        first: dict[Hashable, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (f"{_KIND}str", f"{_KIND}merge"):
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                raise self._error(key, f"a key is a name, found {shown!r}; put a name like this in quotes")
            if key.value in first:
                lines = f"lines {_line(first[key.value])} and {_line(key)}"
                raise self._error(key, f"the key '{key.value}' stands twice, in {lines}; keep one of them")
            first[key.value] = key

    def _clear(self, node: yaml.ScalarNode) -> None:
        """Refuses a plain scalar that YAML 1.1 and 1.2 read differently."""
        kind, text = node.tag.removeprefix(_KIND), node.value
        if node.style or kind in ("null", "merge", "timestamp", "value"):
            return
        newer = next(
            (name for name, says in (("int", _INT), ("float", _FLOAT), ("bool", _BOOL)) if says.fullmatch(text)), "str"
        )
        octal = kind == "int" and re.fullmatch(r"[-+]?0[0-9]+", text)
        if newer == kind and not octal:
            return
        if kind == "bool":
            advice = (
                f"write {'true' if text.lower() in ('yes', 'on', 'y') else 'false'}, or '{text}' in quotes for text"
            )
        elif octal or (newer == "int" and text.lstrip("-+").startswith("0") and text.lstrip("-+").isdigit()):
            advice = f"write {int(text)} without the leading 0"
        else:
            advice = "write the number in plain digits, or put text in quotes"
        raise self._error(node, f"{text} is not the same in YAML 1.1 and in YAML 1.2, which DVC reads: {advice}")

    def _error(self, node: yaml.Node, problem: str) -> RestorekitError:
        return RestorekitError(f"{self._path}, line {_line(node)}: {problem}")


def _line(found: yaml.Node | yaml.Event) -> int:
    return 1 if found.start_mark is None else found.start_mark.line + 1
