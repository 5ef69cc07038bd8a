"""Licences of single photographs: a list in a folder, and Debian's copyright files, from which such a list is made."""

import re
from email.parser import Parser
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from restorekit.errors import RestorekitError
from restorekit.files import read_json

LICENCES = "licences.json"  # in a folder of photographs: {"photo.jpg": {"license": ..., "author": ..., "source": ...}}

# Licences under which a network may be trained and its weights given away without a condition on the weights' own
# licence: no share-alike, no non-commercial clause.
_FREE = re.compile(r"CC0(-[0-9.]+)?|CC-BY(-[0-9.]+)?|public[- ]domain", re.IGNORECASE)


class Licence(BaseModel):
    """What is known about one photograph."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    license: Annotated[str, Field(min_length=1)]
    author: str = ""
    source: str = ""  # the package or the page that it is from

    @property
    def is_free(self) -> bool:
        """Whether weights trained on the photograph can be given away under any licence."""
        return _FREE.fullmatch(self.license) is not None

    @property
    def credit(self) -> str:
        """Author and source for a reader."""
        return ", ".join(part for part in (self.author, self.source) if part)


_LIST = TypeAdapter(dict[str, Licence])


def read_licences(folder: Path) -> dict[str, Licence]:
    """The licences that `folder` states, by the file's path below it; empty where it states none."""
    file = folder / LICENCES
    if not file.is_file():
        return {}
    remedy = "mend it, or remove it and set photos.license"
    try:
        return _LIST.validate_python(read_json(file, "list of licences", remedy))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RestorekitError(f"{file}: {place}: {first['msg']}: {remedy}") from error


def debian_licences(copyright_text: str) -> list[tuple[str, Licence]]:
    """The patterns of files in a machine-readable copyright file (DEP-5), each with its licence; later ones win."""
    found = []
    for paragraph in re.split(r"\n\s*\n", copyright_text):
        fields = Parser().parsestr(paragraph.strip())
        if fields["Files"] and fields["License"]:
            licence = Licence(license=fields["License"].splitlines()[0].strip(), author=_author(fields["Copyright"]))
            found += [(pattern, licence) for pattern in fields["Files"].split()]
    return found


def licence_of(path: str, licences: list[tuple[str, Licence]]) -> Licence | None:
    """The licence of a file by the last pattern that names it, whatever folder the package has moved it to.

    The patterns are of paths in the package's sources. So a pattern may name the last parts of the path alone, and one
    without wildcards also names a file of that name elsewhere.
    """
    parts = Path(path).parts
    ends = ["/".join(parts[first:]) for first in range(len(parts))]
    found = [
        licence
        for pattern, licence in licences
        if Path(pattern).name == parts[-1] or any(fnmatchcase(end, pattern) for end in ends)
    ]
    return found[-1] if found else None


def _author(copyright_lines: str | None) -> str:
    """The people of a copyright statement in one line, without the years."""
    lines = [
        re.sub(r"\b\d{4}(-\d{4})?\b[,.]?", "", line).strip(' ,."') for line in (copyright_lines or "").splitlines()
    ]
    return ", ".join(line for line in lines if line)
