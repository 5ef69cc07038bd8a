"""Writes data sets, one task for each shard, and continues where a killed run stopped.

The tasks run in processes of this machine, or with Ray Data on a cluster that `RAY_ADDRESS` names. On one machine Ray's
own start would take longer than a small data set, and beside other programs it fails: Ray gives itself 30 seconds.

Shards go to a staging folder, which moves to its place when complete. A digest of all that the samples depend on names
the staging folder, so that the shards of another recipe are never used.
"""

import logging
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Protocol

from restorekit.cluster import keep_freed_memory, rows_of
from restorekit.config import AnyDataset, FrameConfig, MaskData, SynthesizeConfig
from restorekit.errors import RestorekitError
from restorekit.files import asking_for_room, digest_of, sha256_file, write_json
from restorekit.paths import Paths
from restorekit.provenance import sources, sources_digest
from restorekit.shards.manifest import Shard, ShardManifest, read_note, write_shard
from restorekit.shards.mask_shards import MaskRecipe
from restorekit.shards.real_shards import with_pairs
from restorekit.shards.synthesis import recipe_for
from restorekit.sources.photo_index import SPLITS, PhotoIndex, SplitName
from restorekit.storage import address_of, fetch_file, local_path, push_file, remote_of

# Without kept memory the arrays of every image go back to the system, which costs a sixth of a shard's CPU time.
KEPT_MEMORY = {"kept_bytes": 2**28, "block_bytes": 2**25}


class Recipe(Protocol):
    """One split of a data set: the samples of each of its shards."""

    @property
    def name(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def split(self) -> SplitName: ...
    @property
    def num_shards(self) -> int: ...
    def samples(self, shard: int, source: Path, /) -> Iterator[tuple[str, Mapping[str, bytes]]]: ...
    def digest_values(self) -> dict[str, Any]: ...


def synthesize_dataset(
    name: str,
    dataset: AnyDataset | MaskData,
    seed: int,
    config: SynthesizeConfig,
    photos: PhotoIndex,
    paths: Paths,
    spread: bool = False,
) -> dict[SplitName, ShardManifest]:
    """Writes all splits of a data set below `paths.shards(name)`; with `spread`, on the connected cluster."""
    recipes: Sequence[Recipe]
    if isinstance(dataset, MaskData):
        recipes = [MaskRecipe(name, dataset, split, seed) for split in SPLITS]
    else:
        made = [recipe_for(name, dataset, split, seed, config.encoding, photos, config.quality) for split in SPLITS]
        pairs = isinstance(dataset, FrameConfig) and dataset.pairs
        recipes = with_pairs(made, dataset, Path.cwd()) if pairs else made  # type: ignore[arg-type]
    return write_dataset(name, recipes, paths.photos, photos.digest, config.num_workers, paths, spread)


def write_dataset(
    name: str,
    recipes: Sequence[Recipe],
    source: Path,
    source_digest: str,
    num_workers: int,
    paths: Paths,
    spread: bool = False,
) -> dict[SplitName, ShardManifest]:
    """Writes the shards of `recipes` below `paths.shards(name)`, from files in `source`."""
    digest = digest_of(
        [sources_digest(sources(__name__, stage="shards")), *(recipe.digest_values() for recipe in recipes)]
    )
    staging = paths.state(f"shards-{name}-{digest[:16]}")
    tasks = [(recipe, number) for recipe in recipes for number in range(recipe.num_shards)]
    missing = [task for task in tasks if _finished(staging, *task) is None]
    if len(missing) < len(tasks):
        print(f"{name}: {len(tasks) - len(missing)} of {len(tasks)} shards are there already, {len(missing)} to make")
    if missing:
        write = _write_on_cluster if spread else _write_here
        write(missing, staging, source, min(num_workers, len(missing)))
    manifests = {recipe.split: finish(recipe, staging, source_digest) for recipe in recipes}
    _put_in_place(staging, paths.shards(name), manifests)
    return manifests


def _put_in_place(staging: Path, target: Path, manifests: Mapping[SplitName, ShardManifest]) -> None:
    """Moves the staging folder to `target`; object storage gets the shards first, then the manifests that list them."""
    stored, staged = remote_of(target), remote_of(staging)
    for split, manifest in manifests.items():
        for shard in manifest.shards:
            if stored is not None and staged is not None:
                for name in (shard.name, shard.index):
                    (staged / split / name).copy_to(stored / split / name)
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging.replace(target)
    for split in manifests:
        push_file(target / split / "manifest.json")
    if staged is not None:
        staged.remove()


def _write_here(tasks: list[tuple[Recipe, int]], staging: Path, source: Path, num_workers: int) -> None:
    """Makes shards in processes of this machine; after an error, the shards that were begun are finished."""
    pool = ProcessPoolExecutor(num_workers, get_context("spawn"), initializer=_prepare_process)
    try:
        written = [pool.submit(stage_shard, recipe, number, staging, source) for recipe, number in tasks]
        for shard in written:
            shard.result()
    except BrokenProcessPool as error:
        raise RestorekitError(
            "a process that makes shards was ended from outside, perhaps for want of memory: lower "
            "synthesize.num_workers and run the same command again, which goes on with the missing shards"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_process() -> None:
    """Sets a process of `_write_here` up: it leaves an interruption to its parent, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory(**KEPT_MEMORY)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_on_cluster(tasks: list[tuple[Recipe, int]], staging: Path, source: Path, num_workers: int) -> None:
    """Makes shards with Ray Data: one row, a number, for each shard; the driver holds no samples."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its plans and timings are in Ray's own log files
    places = address_of(staging), address_of(source)  # another node has a mirror of its own

    def write(row: dict[str, Any]) -> dict[str, Any]:
        keep_freed_memory(**KEPT_MEMORY)
        recipe, number = tasks[int(row["id"])]
        try:
            stage_shard(recipe, number, *map(local_path, places))
        except RestorekitError as error:
            return {"problem": str(error)}  # Ray Data would wrap an exception into a traceback
        return {"problem": ""}

    rows = ray.data.range(len(tasks), override_num_blocks=len(tasks))
    pool = ray.data.TaskPoolStrategy(size=num_workers)
    problems = [row["problem"] for row in rows_of(rows.map(write, num_cpus=1, compute=pool))]
    if any(problems):
        raise RestorekitError(next(filter(None, problems)))


def stage_shard(recipe: Recipe, number: int, staging: Path, source: Path) -> Shard:
    """Makes one shard with its index, then writes a note that both are whole."""
    path = _shard_path(staging, recipe, number)
    with asking_for_room(f"shard {path}"):
        shard = write_shard(path, recipe.samples(number, source))
        write_json(path.with_suffix(".json"), asdict(shard))
    for file in (path, path.with_name(shard.index), path.with_suffix(".json")):
        push_file(file)
    return shard


def _finished(staging: Path, recipe: Recipe, number: int) -> Shard | None:
    """The shard, if an earlier run finished it and its files are unchanged."""
    path = _shard_path(staging, recipe, number)
    note = fetch_file(path.with_suffix(".json"))
    if not note.is_file():
        return None
    shard = read_note(note)
    index = path.with_name(shard.index)
    stored, stored_index = remote_of(path), remote_of(index)
    if stored is not None and stored_index is not None:
        return shard if stored.size() == shard.bytes and stored_index.size() else None
    if not (path.is_file() and index.is_file()) or path.stat().st_size != shard.bytes:
        return None
    return shard if (sha256_file(path), sha256_file(index)) == (shard.sha256, shard.index_sha256) else None


def finish(recipe: Recipe, staging: Path, source_digest: str) -> ShardManifest:
    """Writes the manifest of a split whose shards are all staged, and removes their notes."""
    shards = []
    for number in range(recipe.num_shards):
        note = fetch_file(_shard_path(staging, recipe, number).with_suffix(".json"))
        shards.append(read_note(note))
        note.unlink()
    kept = {name for shard in shards for name in (shard.name, shard.index)}
    for path in (staging / recipe.split).iterdir():
        if path.name not in kept:
            path.unlink()  # a killed writer left it
    manifest = ShardManifest(recipe.name, recipe.task, recipe.split, source_digest, tuple(shards))
    manifest.save(staging / recipe.split)
    return manifest


def _shard_path(staging: Path, recipe: Recipe, number: int) -> Path:
    return staging / recipe.split / f"{recipe.name}-{recipe.split}-{number:05d}.tar"
