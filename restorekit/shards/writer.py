"""A shard's bytes depend on its samples alone: one writer, members in a fixed order, no clock, no owner."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import webdataset as wds

from restorekit.files import sha256_file, write_beside
from restorekit.shards.manifest import Shard


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> Shard:
    """Writes (key, members) pairs as one WebDataset tar, beside its place and renamed.

    Members are named by what follows the key's dot, such as ``degraded.png``; keys hold no dot.
    """
    num_samples = 0
    with write_beside(path) as beside:
        with wds.TarWriter(str(beside), mtime=0, encoder=False, user="restorekit", group="restorekit") as writer:
            for key, members in samples:
                if "." in key:
                    raise ValueError(f"key '{key}' holds a dot, at which WebDataset would split it")
                writer.write({"__key__": key, **{name: members[name] for name in sorted(members)}})
                num_samples += 1
        return Shard(path.name, num_samples, beside.stat().st_size, sha256_file(beside))
