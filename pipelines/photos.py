"""packages and folders -> data/photos/ + manifest.json: the clean photographs, and the split of each."""

import sys
from pathlib import Path

from restorekit.config import load_params
from restorekit.entry import run_entry
from restorekit.paths import working_root
from restorekit.sources import collect_photographs
from restorekit.storage import push


def main() -> None:
    params = load_params(Path("params.yaml"))
    collection = collect_photographs(params.photos, Path.cwd(), working_root().photos)
    push(working_root().photos)
    for reason in collection.left_out:
        print(f"left out: {reason}", file=sys.stderr)
    print(collection.summary())


if __name__ == "__main__":
    run_entry(main)
