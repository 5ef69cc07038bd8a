"""One loader in its own process: its speed, or its abilities with ranks and resuming, as JSON on the last line.

Every loader gives batches of the same work by the same functions: both images decoded, cropped and flipped as
(seed, key) say, uint8 (B, 3, H, W). Ours is training/batches.py. litdata, mosaicml-streaming run in .venv-bench-data.

python loader_opponents.py pack NAME SOURCE FOLDER | speed NAME FOLDER LOADERS SECONDS | order NAME FOLDER [STATE]
"""

import importlib
import json
import os
import sys
import threading
import time
from hashlib import sha256
from itertools import islice
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", NO_ALBUMENTATIONS_UPDATE="1", RAY_USAGE_STATS_ENABLED="0")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")

import cv2
import psutil
import torch

from restorekit.image import decode_rgb
from restorekit.shards.augmentation import PairAugmentation
from restorekit.shards.reader import ShardReader
from restorekit.training.batches import to_tensor

SEED, CROP, FLIPS = 11, 96, ("horizontal",)
BATCH = int(os.environ.get("BENCH_BATCH", "16"))  # of a rank
RANK, RANKS = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
NAMES = ("degraded", "clean")
AUGMENT = PairAugmentation(CROP, FLIPS, NAMES)


def finish(key, degraded, clean):
    """The work on one pair, the same for all loaders."""
    cut = AUGMENT({"degraded": decode_rgb(degraded), "clean": decode_rgb(clean)}, SEED, 0, key)
    return {"key": key, **{name: to_tensor(image) for name, image in cut.items()}}


def raw_pairs(source):
    """(key, degraded, clean) as bytes, of our shards."""
    for key, members in ShardReader(source).raw_samples():
        parts = {name.partition(".")[0]: data for name, data in members.items()}
        yield key, parts["degraded"], parts["clean"]


def torch_loader(data, loaders, kind=torch.utils.data.DataLoader, **settings):
    return kind(data, batch_size=BATCH, num_workers=loaders, persistent_workers=loaders > 0, **settings)


class Ours:
    """Shards as they are. The loader has no end: `batches` takes one epoch of it."""

    def __init__(self, folder, loaders, cursor=None):
        from restorekit.shards.plan import begin_epoch, continue_with
        from restorekit.training.batches import train_batches

        shape = (ShardReader(folder).manifest.num_samples, int(os.environ.get("BENCH_WHOLE", BATCH)))
        self.cursor = begin_epoch(0, *shape) if cursor is None else continue_with(cursor, *shape)
        self.stream = train_batches({folder: 1.0}, self.cursor, (RANK, RANKS), loaders, SEED, CROP, FLIPS)

    @staticmethod
    def pack(source, folder):
        for file in source.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())

    def batches(self):
        for batch in islice(self.stream, self.cursor.num_steps - self.cursor.step):
            self.cursor = batch.cursor
            # A pair without weight is repeated: the rank keeps step and learns nothing from it.
            yield {"key": list(batch.keys) if batch.weight else [], **batch.images}
        self.cursor = type(self.cursor)(self.cursor.epoch + 1, ((0, self.size()),), self.cursor.batch_size)

    def size(self):
        return self.cursor.ranges[-1][1]

    def state(self):
        from dataclasses import asdict

        return asdict(self.cursor)

    @classmethod
    def resumed(cls, folder, loaders, state):
        from restorekit.shards.plan import Cursor

        return cls(folder, loaders, Cursor(**state | {"ranges": tuple(map(tuple, state["ranges"]))}))


class Stateless:
    """A loader that saves no state."""

    def batches(self):
        yield from self.loader

    def state(self):
        found = getattr(self.loader, "state_dict", None)
        return found() if found else None


class WebDataset(Stateless):
    pack = Ours.pack

    def __init__(self, folder, loaders):
        import webdataset as wds

        def pair(sample):
            parts = {name.partition(".")[0]: data for name, data in sample.items()}
            return finish(sample["__key__"], parts["degraded"], parts["clean"])

        tars = sorted(map(str, folder.glob("*.tar")))
        data = wds.WebDataset(tars, shardshuffle=len(tars), nodesplitter=wds.split_by_node, seed=SEED)
        self.loader = torch_loader(data.shuffle(256, seed=SEED).map(pair), loaders, wds.WebLoader)


class LooseFiles(Stateless):
    def __init__(self, folder, loaders):
        class Files(torch.utils.data.Dataset):
            def __init__(self):
                self.keys = sorted(file.name for file in (folder / "degraded").iterdir())

            def __len__(self):
                return len(self.keys)

            def __getitem__(self, index):
                name = self.keys[index]
                degraded, clean = ((folder / kind / name).read_bytes() for kind in NAMES)
                return finish(Path(name).stem, degraded, clean)

        data = Files()
        if RANKS > 1:
            sampler = torch.utils.data.DistributedSampler(data, RANKS, RANK, seed=SEED)
        else:
            sampler = torch.utils.data.RandomSampler(data, generator=torch.Generator().manual_seed(SEED))
        self.loader = torch_loader(data, loaders, sampler=sampler)

    @staticmethod
    def pack(source, folder):
        for kind in NAMES:
            (folder / kind).mkdir()
        for key, *images in raw_pairs(source):
            for kind, data in zip(NAMES, images, strict=True):
                (folder / kind / f"{key}.image").write_bytes(data)


class RayData(Stateless):
    pack = Ours.pack

    def __init__(self, folder, loaders):
        import logging

        import ray

        ray.init("local", num_cpus=max(1, loaders), include_dashboard=False, log_to_driver=False, logging_level="error")
        logging.getLogger("ray.data").setLevel(logging.ERROR)

        def pairs(rows):
            found = {name.partition(".")[0]: column for name, column in rows.items()}
            done = [finish(*one) for one in zip(rows["__key__"], found["degraded"], found["clean"], strict=True)]
            return {
                "key": [one["key"] for one in done],
                **{name: torch.stack([one[name] for one in done]).numpy() for name in NAMES},
            }

        data = ray.data.read_webdataset(sorted(map(str, folder.glob("*.tar"))), decoder=None, shuffle="files")
        self.data = data.map_batches(pairs, batch_size=BATCH)
        self.loader = self.data

    def batches(self):
        part = self.data if RANKS == 1 else None
        for batch in part.iter_batches(batch_size=BATCH, batch_format="numpy"):
            yield {"key": list(batch["key"]), **{name: torch.as_tensor(batch[name]) for name in NAMES}}

    def each_rank(self):
        """The batches of two ranks, read in turn by threads, as by two workers of one training."""
        keys = [[], []]

        def read(number, part):
            keys[number].extend(list(map(str, batch["key"])) for batch in part.iter_batches(batch_size=BATCH))

        parts = self.data.streaming_split(2, equal=True)
        threads = [threading.Thread(target=read, args=pair) for pair in enumerate(parts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return keys


class Litdata:
    def __init__(self, folder, loaders, state=None):
        import litdata

        class Pairs(litdata.StreamingDataset):
            def __getitem__(self, index):
                return finish(**super().__getitem__(index))

        data = Pairs(str(folder), shuffle=True, seed=SEED, drop_last=False)
        self.loader = torch_loader(data, loaders, litdata.StreamingDataLoader)
        if state is not None:
            self.loader.load_state_dict(state)

    @staticmethod
    def pack(source, folder):
        from litdata.streaming.writer import BinaryWriter

        writer = BinaryWriter(str(folder), chunk_bytes="16MB")
        for number, (key, degraded, clean) in enumerate(raw_pairs(source)):
            writer.add_item(number, {"key": key, "degraded": degraded, "clean": clean})
        writer.done()
        writer.merge()

    def batches(self):
        yield from self.loader

    def state(self):
        return self.loader.state_dict()

    @classmethod
    def resumed(cls, folder, loaders, state):
        return cls(folder, loaders, state)


class Mosaic(Litdata):
    def __init__(self, folder, loaders, state=None):
        without_torchvision()
        import streaming

        class Pairs(streaming.StreamingDataset):
            def __getitem__(self, index):
                return finish(**super().__getitem__(index))

        streaming.base.util.clean_stale_shared_memory()
        data = Pairs(local=str(folder), shuffle=True, shuffle_seed=SEED, batch_size=BATCH)
        self.loader = torch_loader(data, loaders, streaming.StreamingDataLoader)
        if state is not None:
            self.loader.load_state_dict(state)

    @staticmethod
    def pack(source, folder):
        without_torchvision()
        from streaming import MDSWriter

        with MDSWriter(out=str(folder), columns={"key": "str", "degraded": "bytes", "clean": "bytes"}) as writer:
            for key, degraded, clean in raw_pairs(source):
                writer.write({"key": key, "degraded": degraded, "clean": clean})


def without_torchvision():
    """mosaicml-streaming imports torchvision, whose wheel fits no CPU build of torch: it wants two operators named."""
    if hasattr(without_torchvision, "library"):
        return
    without_torchvision.library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        without_torchvision.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


MODULES = {"webdataset": "webdataset", "Ray Data": "ray.data", "litdata": "litdata", "mosaicml-streaming": "streaming"}
LOADERS = {
    "ours": Ours, "webdataset": WebDataset, "torch, loose files": LooseFiles, "Ray Data": RayData,
    "litdata": Litdata, "mosaicml-streaming": Mosaic,
}  # fmt: skip


def speed(name, folder, loaders, seconds):
    """The rates of epochs over `seconds`, after one epoch that verifies pixels and measures memory."""
    if name == "mosaicml-streaming":
        without_torchvision()
    importlib.import_module(MODULES.get(name, "json"))  # not a part of the time to the first batch
    memory, done = [0.0], threading.Event()
    watch = threading.Thread(target=_watch_memory, args=(memory, done))
    began = time.perf_counter()
    loader = LOADERS[name](folder, loaders)
    first, pixels, rates = None, {}, []
    for number, batch in enumerate(loader.batches()):
        first = first or time.perf_counter() - began
        for row, key in enumerate(batch["key"]):
            pixels[str(key)] = sha256(b"".join(batch[kind][row].numpy().tobytes() for kind in NAMES)).hexdigest()
        if number == 8:
            watch.start()
    done.set()
    watch.join()
    deadline, spent, count = time.perf_counter() + seconds, _cpu_seconds(), 0
    while time.perf_counter() < deadline:
        counts, opened = [], None
        for batch in loader.batches():
            opened = opened or time.perf_counter()
            counts.append(len(batch["key"]))
        rates.append(sum(counts[1:]) / (time.perf_counter() - opened))
        count += sum(counts)
    cpu_ms = 1e3 * (_cpu_seconds() - spent) / count
    digest = sha256("".join(f"{key}{pixels[key]}" for key in sorted(pixels)).encode()).hexdigest()
    return {
        "rates": rates, "cpu_ms": cpu_ms, "first_s": first, "memory_mib": memory[0], "pairs": len(pixels),
        "digest": digest,
    }  # fmt: skip


def _everyone():
    return [psutil.Process(), *psutil.Process().children(recursive=True)]


def _cpu_seconds():
    """The memory of this process and its children."""
    return sum(sum(process.cpu_times()[:2]) for process in _everyone())


def _watch_memory(peak, done):
    while not done.wait(0.05):
        peak[0] = max(peak[0], sum(map(_proportional, _everyone())) / 2**20)


def _proportional(process):
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def order(name, folder, state):
    """The keys of an epoch; of one that is stopped and resumed, in one world; or of the rest of another's, by ranks."""
    loader, kind = None, LOADERS[name]

    def keys(source, stop=None):
        return [list(map(str, batch["key"])) for batch in islice(source.batches(), stop)]

    if state is not None:
        return {"rest": keys(kind.resumed(folder, 1, json.loads(Path(state).read_text())))}
    if RANKS > 1:
        return {"keys": kind(folder, 1).each_rank() if kind is RayData else keys(kind(folder, 1))}
    if kind is RayData:
        loader = kind(folder, 2)
        return {"state": loader.state()}
    whole = keys(kind(folder, 2))
    loader = kind(folder, 2)
    begun, saved = [], None
    for batch in loader.batches():
        begun.append(list(map(str, batch["key"])))
        if len(begun) == 5:
            saved = loader.state()
            break
    if saved is None:
        return {"state": None}
    text = json.dumps(saved, default=int)
    del loader
    return {"state": text, "whole": whole, "begun": begun, "rest": keys(kind.resumed(folder, 2, json.loads(text)))}


def main():
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    action, name, folder, *rest = sys.argv[1:]
    if action == "pack":
        target = Path(rest[0])
        LOADERS[name].pack(Path(folder), target)
        found = {"bytes": sum(file.stat().st_size for file in target.rglob("*") if file.is_file())}
    elif action == "speed":
        found = speed(name, Path(folder), int(rest[0]), float(rest[1]))
    else:
        found = order(name, Path(folder), rest[0] if rest else None)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
