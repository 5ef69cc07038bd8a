"""real pairs -> data/shards/<name>/{train,val}/*.tar + manifest.json: a public set to train on, as it lies on disk.

python -m pipelines.pairs --dataset rain-100L
"""

from functools import partial
from pathlib import Path
from typing import Any

from restorekit.cluster import named_cluster
from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.errors import unknown_name
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.shards.real_shards import pair_recipes
from restorekit.shards.staging import write_dataset
from restorekit.sources.choosing import choosing_files, pairs_left
from restorekit.sources.real_pairs import RealPair, find_pairs, pairs_digest, shifts_told


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `real.train` in params.yaml")
    found = parser.parse_args()
    read = partial(load_params, Path("params.yaml"), found.params)
    with unchanged("pairs", lambda: settings(found.dataset, read())):
        write_pairs(found.dataset, read(), working_root())


def settings(name: str, params: Params) -> list[Any]:
    """The parameters that a real set's shards depend on."""
    return [params.seed, params.synthesize, params.real.train.get(name), params.real.validation]


def training_pairs(name: str, params: Params, root: Path) -> tuple[RealPair, ...]:
    """The pairs below `root` of a real set to train on, without those that choose the best state of a training."""
    config, where = params.real.train[name], f"real.train.{name}"
    found = find_pairs(where, root, config.layout, config.pairs)
    return pairs_left(where, found, choosing_files(params.real.to_validate(config.task), Path.cwd()))


def write_pairs(name: str, params: Params, paths: Paths) -> None:
    """Makes the missing shards of a real set, then moves all of them to their place."""
    if name not in params.real.train:
        raise unknown_name("real set", name, params.real.train)
    config = params.real.train[name]
    root = Path.cwd() / Path(config.root).expanduser()
    pairs = training_pairs(name, params, root)
    if note := shifts_told(f"real.train.{name}", root, pairs):
        print(f"note: {note}")
    written = params.synthesize
    recipes = pair_recipes(name, config, params.seed, written.encoding, pairs, written.quality)
    workers = params.synthesize.num_workers
    with named_cluster() as spread:
        manifests = write_dataset(name, recipes, root, pairs_digest(pairs), workers, paths, spread)
    for split, manifest in manifests.items():
        print(f"{name} {split}: {manifest.num_samples} samples in {len(manifest.shards)} shards")


if __name__ == "__main__":
    run_entry(main)
