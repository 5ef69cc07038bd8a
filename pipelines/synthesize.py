"""photos -> data/shards/<data set>/{train,val,test}/*.tar + manifest.json, the same bytes for any number of workers."""

import argparse
from pathlib import Path

from restorekit.entry import run_entry
from restorekit.sources.manifest import PhotoManifest

from restorekit.cluster import ray_cluster
from restorekit.config import load_params
from restorekit.paths import working_root
from restorekit.shards.staging import synthesize_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True, help="a key of `datasets` in params.yaml")
    name = parser.parse_args().dataset

    paths = working_root()
    params = load_params(Path("params.yaml"))
    dataset = params.dataset(name)
    photos = PhotoManifest.load(paths.photos)
    with ray_cluster(params.synthesize.num_workers):
        manifests = synthesize_dataset(name, dataset, params.seed, params.synthesize, photos, paths)
    for split, manifest in manifests.items():
        print(f"{name} {split}: {manifest.num_samples} samples in {len(manifest.shards)} shards")


if __name__ == "__main__":
    run_entry(main)
