"""Released weights become a model's folder like any other: read strictly, with where they came from on record."""

from pathlib import Path
from typing import Any, cast

from restorekit.errors import RestorekitError
from restorekit.files import sha256_file
from restorekit.models.authors import from_authors, read_authors
from restorekit.models.checkpoint import RECORD, save_model
from restorekit.models.descriptor import Descriptor


def import_weights(name: str, file: Path, output: Path, variant: str = "reflection") -> dict[str, Any]:
    """Writes the authors' `file` as the model folder `output`, which must not hold a model yet; returns its record.

    `variant` is for DMGN, whose files do not say which of its three tasks they are of. The record's "run" is
    `<model>-<task>--imported`; the model registers as `<model>-<task>`.
    """
    if (output / RECORD).exists():
        raise RestorekitError(f"{output} holds a model already: name another --output")
    model = from_authors(name, read_authors(file), variant)
    task = cast(Descriptor, model.descriptor).tasks[0]
    output.mkdir(parents=True, exist_ok=True)
    return save_model(
        output,
        model,
        {
            "run": f"{name}-{task}--imported", "task": task, "dataset": task, "registered_name": f"{name}-{task}",
            "seed": None, "steps": 0, "imported_from": {"file": file.name, "sha256": sha256_file(file)},
        },
    )  # fmt: skip
