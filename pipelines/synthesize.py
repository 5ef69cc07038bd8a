"""photos -> data/shards/<data set>/{train,val,test}/*.tar + manifest.json, the same bytes for any number of workers.

python -m pipelines.synthesize --dataset rain
"""

from functools import partial
from pathlib import Path
from typing import Any

from restorekit.cluster import named_cluster
from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.shards.staging import synthesize_dataset
from restorekit.sources.photo_index import PhotoIndex


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    found = parser.parse_args()
    read = partial(load_params, Path("params.yaml"), found.params)
    with unchanged("synthesize", lambda: settings(found.dataset, read())):
        synthesize(found.dataset, read(), working_root())


def settings(name: str, params: Params) -> list[Any]:
    """The parameters that a data set's shards depend on."""
    return [params.seed, params.synthesize, params.dataset(name)]


def synthesize(name: str, params: Params, paths: Paths) -> None:
    """Makes the missing shards of a data set, then moves all of them to their place."""
    dataset = params.dataset(name)
    photos = PhotoIndex.open(paths.photos)
    photos.verify()
    with named_cluster() as spread:
        manifests = synthesize_dataset(name, dataset, params.seed, params.synthesize, photos, paths, spread)
    for split, manifest in manifests.items():
        print(f"{name} {split}: {manifest.num_samples} samples in {len(manifest.shards)} shards")


if __name__ == "__main__":
    run_entry(main)
