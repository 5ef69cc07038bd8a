"""packages and folders -> data/photos/ + manifest.json: the clean photographs, and the split of each."""

import sys
from pathlib import Path

from restorekit.config import Params, load_params
from restorekit.entry import run_entry
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.sources import collect_photographs
from restorekit.storage import push


def main() -> None:
    with unchanged("photos", lambda: load_params(Path("params.yaml")).photos):
        photos(load_params(Path("params.yaml")), working_root())


def photos(params: Params, paths: Paths) -> None:
    """Collects the photographs and names those that are left out."""
    collection = collect_photographs(params.photos, Path.cwd(), paths.photos)
    push(paths.photos)
    for reason in collection.left_out:
        print(f"left out: {reason}", file=sys.stderr)
    print(collection.summary())


if __name__ == "__main__":
    run_entry(main)
