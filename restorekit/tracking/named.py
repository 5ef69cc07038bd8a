"""A model by the name that people give it: `shipped:rain`, `glsgn-rain@champion`, or a folder."""

from pathlib import Path
from typing import Any

from torch import nn

from restorekit.errors import RestorekitError
from restorekit.models.checkpoint import RECORD, load_model
from restorekit.weights import PREFIX, load_shipped


def load_named(
    name: str, root: Path, alias: str = "champion", beside: Path | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """The model `name`, on the CPU and in eval mode, and its record.

    `shipped:<name>` comes with restorekit. A folder, relative to `beside` or else to `root`, has a slash in its name or
    a model's record in it. Anything else is registered under `root`; `<name>@<alias>` says which version, and `alias`
    does where the name does not. Raises RestorekitError where there is no such model, or it cannot be loaded.
    """
    if name.startswith(PREFIX):
        return load_shipped(name.removeprefix(PREFIX))
    folder = (beside or root) / Path(name).expanduser()
    if "/" in name or (folder / RECORD).is_file():
        if not folder.is_dir():
            raise RestorekitError(f"there is no model's folder at {folder}")
        return load_model(folder)
    from restorekit.tracking.registry import load_registered  # MLflow takes seconds to import, and a folder needs none

    registered, _, named_alias = name.partition("@")
    return load_registered(registered, named_alias or alias, root)
