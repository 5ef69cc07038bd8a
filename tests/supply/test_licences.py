"""Every installed dependency has a licence that was looked at: a new one, or another licence, fails until it is."""

import re
from importlib.metadata import Distribution, distributions

import pytest

from tests.shipped import ROOT

# Permissive licences, by the names that packages give them: SPDX, classifiers and older texts.
PERMISSIVE = (
    "0BSD", "Apache-2.0", "Apache 2.0", "Apache 2", "Apache License 2.0", "Apache License, Version 2.0",
    "Apache Software License", "Apache License v2.0", "Apache", "BSD-2-Clause", "BSD-3-Clause", "BSD 2-Clause License",
    "BSD 3-Clause License", "BSD 3-Clause", "3-Clause BSD License", "BSD License", "New BSD", "Modified BSD", "BSD",
    "BSL-1.0", "CC0-1.0", "HPND", "ISC", "ISC License (ISCL)", "MIT", "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0",
    "Python Software Foundation License", "Python-2.0", "CNRI-Python", "The Unlicense (Unlicense)", "Unlicense",
    "Zlib", "zlib/libpng", "ZPL-2.1", "Zope Public License", "libtiff", "FSFULLR",
)  # fmt: skip
_KNOWN = {name.lower() for name in PERMISSIVE}

# What is neither permissive nor said by the package itself, each looked at, with the reason why it may be used.
REVIEWED: dict[str, tuple[str, str]] = {
    "asyncssh": ("EPL-2.0 OR GPL-2.0-or-later", "DVC's, taken under EPL-2.0; restorekit neither imports nor ships it"),
    "certifi": ("Mozilla Public License 2.0 (MPL 2.0)", "MPL covers its own files, which nobody changes: certificates"),
    "grandalf": (
        "GNU General Public License v2 (GPLv2)",
        "DVC's, and by its licence file EPL-1.0 instead, an exception to the classifier; `dvc dag` draws with it, and "
        "restorekit neither imports nor ships it",
    ),
    "huey": ("", "MLflow's; its licence file is the MIT licence"),
    "hypothesis": ("MPL-2.0", "of the tests alone; MPL covers its own files, which nobody changes"),
    "orjson": ("MPL-2.0 AND (Apache-2.0 OR MIT)", "DVC's; MPL covers its own files, which nobody changes"),
    "pathspec": ("Mozilla Public License 2.0 (MPL 2.0)", "DVC's; MPL covers its own files, which nobody changes"),
    "pygit2": ("GPLv2 with linking exception", "DVC's; the linking exception lets any program use it"),
    "shtab": ("MPL-2.0", "DVC's; MPL covers its own files, which nobody changes"),
    "skops": ("", "MLflow's; its licence file is the MIT licence"),
    "torch": (
        "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT",
        "all parts are permissive; the LLVM exception gives more rights",
    ),
    "tqdm": ("MPL-2.0 AND MIT", "MPL covers its own files, which nobody changes"),
}


def stated(found: Distribution) -> list[str]:
    """The licences that a package states: an SPDX expression, else its classifiers, else its licence field."""
    expression = found.metadata.get("License-Expression")
    if expression:
        return [expression]
    classifiers = [one for one in found.metadata.get_all("Classifier") or [] if one.startswith("License ::")]
    named = [one.rpartition(" :: ")[2] for one in classifiers if not one.endswith("OSI Approved")]
    if named:
        return named
    text = (found.metadata.get("License") or "").strip()
    return [text.splitlines()[0].strip()] if text else []


def is_permissive(licence: str) -> bool:
    """Whether all parts of AND, or one part of OR, are permissive; a person reads what has both."""
    if " AND " in licence and " OR " in licence:
        return False
    choices = licence.split(" OR ")
    return any(all(part.strip().lower() in _KNOWN for part in choice.split(" AND ")) for choice in choices)


def name_of(found: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()


INSTALLED = {name_of(found): found for found in distributions() if name_of(found) != "restorekit"}


def unreviewed() -> dict[str, list[str]]:
    """The packages whose licences nobody has looked at."""
    found = {}
    for name, one in sorted(INSTALLED.items()):
        licences = stated(one)
        if licences and all(map(is_permissive, licences)):
            continue
        if name in REVIEWED and REVIEWED[name][0] == " / ".join(licences):
            continue
        found[name] = licences
    return found


def test_every_dependency_has_a_licence_that_was_looked_at() -> None:
    assert unreviewed() == {}, "read the licence, then replace the package or add it to REVIEWED with the reason"


def test_every_reviewed_licence_has_a_reason() -> None:
    """What is under the GPL in name is no direct dependency, and has an exception or another licence to choose."""
    assert all(reason for _, reason in REVIEWED.values())
    assert set(REVIEWED) - set(INSTALLED) - {"torch"} == set(), "no longer installed"
    direct = {re.split(r"[=\[]", line)[0].lower() for line in (ROOT / "requirements.in").read_text().splitlines()}
    assert not [name for name, (licence, _) in REVIEWED.items() if "GPL" in licence and name in direct]
    forbidden = [name for name, (licence, _) in REVIEWED.items() if re.search(r"\b(A?GPL|NC|SSPL|BUSL)", licence)]
    assert [name for name in forbidden if not re.search("exception|EPL", " ".join(REVIEWED[name]))] == []


@pytest.mark.parametrize(
    "licence, permissive",
    [
        ("MIT", True), ("MIT OR GPL-2.0-only", True), ("MIT AND GPL-2.0-only", False), ("GPL-3.0-or-later", False),
        ("Apache-2.0 AND MIT", True), ("CC-BY-NC-4.0", False), ("LGPL-2.1", False), ("", False), ("mit", True),
        ("Other/Proprietary License", False), ("(Apache-2.0 OR MIT) AND BSD-3-Clause", False),
    ],
)  # fmt: skip
def test_a_licence_is_permissive_only_where_all_of_it_is(licence: str, permissive: bool) -> None:
    """The last one is permissive, too, but mixed expressions are read by a person."""
    assert is_permissive(licence) == permissive
