"""public pairs -> data/validation/<set>/: the pairs of `real.validate` that choose the best state of every training.

python -m pipelines.validation
"""

from functools import partial
from pathlib import Path
from typing import Any

from restorekit.config import Params, load_params
from restorekit.entry import run_entry, stage_parser
from restorekit.files import write_atomically, write_json
from restorekit.paths import Paths, working_root
from restorekit.provenance import unchanged
from restorekit.shards.real_shards import write_choosing
from restorekit.sources.choosing import choosing_pairs
from restorekit.storage import push


def main() -> None:
    read = partial(load_params, Path("params.yaml"), stage_parser(__doc__).parse_args().params)
    with unchanged("validation", lambda: settings(read())):
        write_validation(read(), working_root())


def settings(params: Params) -> list[Any]:
    """The parameters that the pairs depend on."""
    return [params.real.validation]


def write_validation(params: Params, paths: Paths) -> None:
    """Writes data/validation/ whole: shards for each set of `real.validate`, and a list of the sets in sets.json."""
    sets = {}
    with write_atomically(paths.validation) as folder:
        folder.mkdir(parents=True)
        for name, config in params.real.validation.items():
            pairs = choosing_pairs(name, config, Path.cwd())
            manifest = write_choosing(folder / name, name, config, pairs, Path.cwd())
            scenes = len({pair.scene for pair in pairs})
            sets[name] = {"task": config.task, "pairs": len(pairs), "scenes": scenes, "digest": manifest.digest}
            print(f"{name}: {len(pairs)} pairs of {scenes} scenes choose the best state of {config.task} runs")
        write_json(folder / "sets.json", sets)
    push(paths.validation)
    if not sets:
        print("real.validate names no set: synthetic images choose the best states")


if __name__ == "__main__":
    run_entry(main)
