"""Matches the files of a public data set by their names alone: pure functions of a layout and a list of names."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import PurePosixPath

from restorekit.image.photo import FORMATS
from restorekit.layouts import Arrangement, Layout, PhotoLayout

LOOKED_AT = 200  # files of each folder, for guessing a layout

Groups = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MatchedPair:
    """Files of one pair, as POSIX paths below the root; the target is the input where one file holds both."""

    key: str  # letters, digits, "_" and "-"; unique in the set
    scene: str  # pairs of one scene are not independent of each other
    input: str
    target: str | None
    layer: str | None
    mask: str | None


@dataclass(frozen=True)
class Problem:
    """A fault, and the names of the files that have it."""

    fault: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.fault}: {len(self.names)} ({listed(self.names)})"


@dataclass(frozen=True)
class Matched:
    """The pairs, sorted by the input's name, and the problems; `folder` is the pairs' folder, "" for the root."""

    pairs: tuple[MatchedPair, ...]
    problems: tuple[Problem, ...]
    folder: str
    arrangement: Arrangement | None

    @property
    def num_targets(self) -> int:
        return len({pair.target for pair in self.pairs if pair.target is not None})


def match_names(layout: Layout, names: Iterable[str]) -> Matched:
    """The pairs among `names`, POSIX paths below a root, by the arrangement of `layout` that pairs most of them.

    Where several folders below the root hold pairs, those in a folder named `layout.part` are taken. If that does not
    decide, no files are paired, and the problem lists the folders.
    """
    pictures = sorted(name for name in names if PurePosixPath(name).suffix.lower() in FORMATS)
    found = [
        _Found(arrangement, folder, roles)
        for arrangement in layout.arrangements
        for folder, roles in _roles(arrangement, pictures).items()
    ]
    found = [one for one in found if one.num_paired]
    in_part = [one for one in found if layout.part and layout.part.lower() in one.where]
    found = in_part or found
    if not found:
        return Matched((), (), "", None)
    best: dict[str, _Found] = {}
    for one in found:
        known = best.get(one.folder)
        if known is None or one.num_paired > known.num_paired:
            best[one.folder] = one
    outer = [one for folder, one in best.items() if not any(_lies_in(folder, other) for other in best)]
    if len(outer) > 1:
        folders = tuple(sorted(one.folder or "." for one in outer))
        return Matched((), (Problem("folders that hold pairs, one of which must be the root", folders),), "", None)
    return _matched(outer[0], layout, pictures)


def match_photographs(layout: PhotoLayout, names: Iterable[str]) -> tuple[str, ...]:
    """The names of the set's photographs, sorted."""
    patterns = [_pattern(template) for template in layout.files]
    return tuple(
        sorted(
            name
            for name in names
            if PurePosixPath(name).suffix.lower() in FORMATS and any(p.fullmatch(_stem(name)) for p in patterns)
        )
    )


def resembling(names: Sequence[str], layouts: Mapping[str, Layout], count: int = 3) -> list[str]:
    """The layouts that pair most of the names, nearest to the published number first; "plain" alone if among them.

    The guess looks at the first files of each folder only.
    """
    folders: dict[PurePosixPath, list[str]] = defaultdict(list)
    for name in sorted(names):
        folders[PurePosixPath(name).parent].append(name)
    some = [name for files in folders.values() for name in files[:LOOKED_AT]]
    fits = []
    for name, layout in layouts.items():
        matched = match_names(layout, some)
        if matched.arrangement is not None and not _fits_anything(matched.arrangement):
            published = layout.pairs if layout.pairs is not None else 0
            total = len(matched.pairs) if len(some) == len(names) else len(names)
            fits.append((-len(matched.pairs), len(matched.problems), abs(published - total), name))
    most = min(fits)[:2] if fits else None
    likely = [name for *fit, name in sorted(fits) if tuple(fit[:2]) == most]
    return ["plain"] if "plain" in likely else likely[:count]


def _fits_anything(arrangement: Arrangement) -> bool:
    """Whether an arrangement matches the names of any photographs."""
    return arrangement.target is None and re.fullmatch(r"\{[^/]*\}", arrangement.inputs[0]) is not None


def listed(names: Sequence[str], count: int = 3) -> str:
    """The first few names, as one text."""
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


@dataclass(frozen=True)
class _Roles:
    """The files in one folder by role: names, and the values of their template's groups."""

    inputs: list[tuple[str, dict[str, str]]]
    targets: dict[Groups, list[str]]
    layers: dict[Groups, list[str]]
    masks: dict[Groups, list[str]]


@dataclass(frozen=True)
class _Found:
    arrangement: Arrangement
    folder: str
    roles: _Roles

    @property
    def where(self) -> set[str]:
        """Names of the folders on the way to the pairs, with those in the templates."""
        return {part.lower() for part in f"{self.folder}/{self.arrangement.inputs[0]}".split("/")[:-1]}

    @property
    def num_paired(self) -> int:
        needed = [
            (_names_in(template), files)
            for template, files in (
                (self.arrangement.target, self.roles.targets), (self.arrangement.mask, self.roles.masks)
            )
            if template is not None
        ]  # fmt: skip
        return sum(all(_chosen(groups, names) in files for names, files in needed) for _, groups in self.roles.inputs)


def _roles(arrangement: Arrangement, pictures: Sequence[str]) -> dict[str, _Roles]:
    inputs = [_pattern(template) for template in arrangement.inputs]
    target = _pattern(arrangement.target) if arrangement.target else None
    layer = _pattern(arrangement.layer) if arrangement.layer else None
    mask = _pattern(arrangement.mask) if arrangement.mask else None
    folders: dict[str, _Roles] = defaultdict(
        lambda: _Roles([], defaultdict(list), defaultdict(list), defaultdict(list))
    )
    for name in pictures:
        stem = _stem(name)
        if match := next((match for pattern in inputs if (match := pattern.fullmatch(stem))), None):
            folders[_folder(match)].inputs.append((name, _groups(match)))
        elif target and (match := target.fullmatch(stem)):
            folders[_folder(match)].targets[_all(match)].append(name)
        elif layer and (match := layer.fullmatch(stem)):
            folders[_folder(match)].layers[_all(match)].append(name)
        elif mask and (match := mask.fullmatch(stem)):
            folders[_folder(match)].masks[_all(match)].append(name)
    return dict(folders)


def _matched(found: _Found, layout: Layout, pictures: Sequence[str]) -> Matched:
    """The pairs of one arrangement in one folder, and every name without a place in the arrangement."""
    arrangement, roles = found.arrangement, found.roles
    pairs, alone, bare, twice = [], [], [], []
    for name, groups in roles.inputs:
        targets, layers, masks = (
            files.get(_chosen(groups, _names_in(template)), []) if template else []
            for template, files in (
                (arrangement.target, roles.targets), (arrangement.layer, roles.layers), (arrangement.mask, roles.masks)
            )
        )  # fmt: skip
        if arrangement.target and not targets:
            alone.append(name)
        elif arrangement.mask and not masks:
            bare.append(name)
        elif several := next((files for files in (targets, layers, masks) if len(files) > 1), None):
            twice.append(", ".join(several))
        else:
            # The target is the input's file where one file has both halves, or where a mask makes the input.
            target = targets[0] if targets else name if arrangement.halves or arrangement.mask else None
            layer, mask = (files[0] if files else None for files in (layers, masks))
            pairs.append(MatchedPair("", groups.get("scene", ""), name, target, layer, mask))
    twos = {name for names in twice for name in names.split(", ")}
    spare = _spare(roles.targets, {pair.target for pair in pairs} | twos)
    with_layer = {pair.layer is not None for pair in pairs}
    unlayered = [pair.input for pair in pairs if pair.layer is None] if len(with_layer) > 1 else []
    problems = [
        Problem("degraded images without a clean one", tuple(alone)),
        Problem("clean images without a degraded one", () if layout.spare_targets else spare),
        Problem("photographs without a mask", tuple(bare)),
        Problem("masks without a photograph", _spare(roles.masks, {pair.mask for pair in pairs} | twos)),
        Problem("degraded images without a layer, which others have", tuple(unlayered)),
        Problem("images that are there twice, with another suffix", tuple(sorted(set(twice)))),
        Problem("files that are named otherwise", tuple(_odd(found, pictures))),
    ]
    named = tuple(problem for problem in problems if problem.names)
    return Matched(_with_keys(pairs, found.folder), named, found.folder, arrangement)


def _spare(files: dict[Groups, list[str]], used: set[str | None]) -> tuple[str, ...]:
    return tuple(sorted(name for names in files.values() for name in names if name not in used))


def _odd(found: _Found, pictures: Sequence[str]) -> list[str]:
    """Pictures in the arrangement's folders that have no role."""
    roles = found.roles
    known = {name for name, _ in roles.inputs}
    others = (roles.targets, roles.layers, roles.masks)
    known |= {name for of_role in others for names in of_role.values() for name in names}
    folders = {PurePosixPath(name).parent for name in known}
    return [name for name in pictures if name not in known and PurePosixPath(name).parent in folders]


def _with_keys(pairs: Sequence[MatchedPair], folder: str) -> tuple[MatchedPair, ...]:
    """The pairs with keys that are safe as names of files and samples; equal keys get a digest each.

    Where the layout names no scene, the clean image's name is the scene, or else the degraded image's.
    """
    keys = [re.sub(r"[^A-Za-z0-9_-]+", "_", stem) for stem in _short([pair.input for pair in pairs], folder)]
    scenes = _short([pair.target or pair.input for pair in pairs], folder)
    counts = Counter(keys)
    return tuple(
        replace(
            pair,
            key=key if counts[key] == 1 else f"{key}_{sha256(pair.input.encode()).hexdigest()[:8]}",
            scene=pair.scene or scene,
        )
        for pair, key, scene in zip(pairs, keys, scenes, strict=True)
    )


def _short(names: Sequence[str], folder: str) -> list[str]:
    """Stems below `folder`, without the first folder (input/, hazy/) if all stems share it."""
    stems = [_stem(name)[len(folder) :].strip("/") for name in names]
    heads = {stem.split("/")[0] if "/" in stem else "" for stem in stems}
    return [stem.split("/", 1)[1] for stem in stems] if len(heads) == 1 and "" not in heads else stems


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    """A template as a regular expression for a path without its suffix; the group `_folder` is the folder above."""
    text, seen = "", set()
    for piece in re.split(r"(\{[^}]*\}|\*)", template):
        if piece == "*":
            text += "[^/]*"
        elif piece.startswith("{"):
            name, _, kind = piece[1:-1].partition(":")
            form = {"": "[^/]+", "d": r"\d+", "path": ".+"}[kind]
            text += f"(?P={name})" if name in seen else f"(?P<{name}>{form})"
            seen.add(name)
        else:
            text += re.escape(piece)
    return re.compile(f"(?P<_folder>(?:[^/]+/)*?){text}", re.IGNORECASE)


@lru_cache(maxsize=256)
def _names_in(template: str | None) -> tuple[str, ...]:
    return tuple(re.findall(r"\{(\w+)", template or ""))


def _stem(name: str) -> str:
    """A path without its last suffix: 1400_1_0.8 for 1400_1_0.8.png."""
    return name[: -len(PurePosixPath(name).suffix)]


def _folder(match: re.Match[str]) -> str:
    return match["_folder"].rstrip("/")


def _groups(match: re.Match[str]) -> dict[str, str]:
    return {name: value for name, value in match.groupdict().items() if name != "_folder"}


def _all(match: re.Match[str]) -> Groups:
    return tuple(sorted(_groups(match).items()))


def _chosen(groups: dict[str, str], names: Sequence[str]) -> Groups:
    return tuple(sorted((name, groups[name]) for name in set(names)))


def _lies_in(folder: str, other: str) -> bool:
    return folder != other and (other == "" or folder.startswith(f"{other}/"))
