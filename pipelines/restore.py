"""photos -> restored photos, by the thousand: a folder or an address into another, one model in each worker.

python -m pipelines.restore --input photos --output restored
python -m pipelines.restore --input photos --output restored --task rain
python -m pipelines.restore --input s3://mine/photos --output s3://mine/restored --model glsgn-rain
ray job submit --working-dir . -- python -m pipelines.restore --input ... --output ... --model ...

Without --model and --task the workers first look at all photos. Each then gets the model for what is found, and clean
photos have no result.

Photos that have a result are left out, so that the same command goes on after a stop. Photos that cannot be restored
are listed in failures.json in the output, and tried again by the next run. No stage of `dvc repro`.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from tqdm import tqdm

from restorekit.cluster import ray_cluster, room_for
from restorekit.entry import printable, run_entry
from restorekit.errors import RestorekitError
from restorekit.files import write_json
from restorekit.restoring.choice import Chosen, load_chosen
from restorekit.restoring.finding import Finding, by_need, model_for, shipped_detector, without_model
from restorekit.restoring.opening import Settings, check_mask
from restorekit.restoring.photo_file import Wishes
from restorekit.restoring.thousands import (
    FAILURES,
    Move,
    Place,
    look_everywhere,
    on_gpus,
    restore_everywhere,
    waiting_photos,
)

R = TypeVar("R")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="a folder that all nodes see, or an address (s3://...)")
    parser.add_argument("--output", required=True, help="another folder or address; results lie as the photos do")
    parser.add_argument("--model", help="a registered or shipped model, or a model's folder")
    parser.add_argument("--task", help="what is wrong with the photos; picks the model")
    parser.add_argument("--alias", default="champion", help="the registered version to use (default: champion)")
    parser.add_argument("--strength", type=float, default=1.0, help="from 0, the photo as it is, to 1 (default)")
    parser.add_argument("--tile", type=int, help="side of the tiles in pixels (default: as memory allows)")
    parser.add_argument("--workers", type=int, help="CPUs of the local cluster (default: all); with RAY_ADDRESS unused")
    found = parser.parse_args()
    if not 0 <= found.strength <= 1:
        raise RestorekitError(f"--strength is from 0 to 1, not {found.strength:g}")
    source, output = Place.named(found.input), Place.named(found.output)
    if source == output:
        raise RestorekitError("--input and --output are one place: name another for the results")
    move = Move(source, output, {}, Settings(tile=found.tile), Wishes(found.strength))
    names = waiting_photos(move)
    failures: dict[str, str] = {}
    restored = 0
    if names:
        detector = shipped_detector() if found.model is None and found.task is None else None
        groups: Iterable[tuple[Chosen, list[str]]]
        if detector is None:
            groups = [(load_chosen(found.model, found.task, found.alias), names)]
            check_mask(groups[0][0], has_mask=False)
        else:
            groups = by_model(names, look_everywhere(move, detector, names), failures)
        with ray_cluster(found.workers):
            move = on_gpus(move, room_for(0.0, 1.0) > 0)
            for one, waiting in groups:
                outcomes = restore_everywhere(replace(move, record=one.record), one.network, waiting)
                for name, problem in shown(outcomes, len(waiting), one.name):
                    if problem:
                        failures[name] = problem
                    else:
                        restored += 1
    with output.writing(FAILURES) as file:
        write_json(file, failures)
    clean = len(names) - restored - len(failures)
    left = f", {clean} clean ones left as they are" if clean else ""
    print(f"{restored} photos restored to {output.address}, {len(failures)} not{left}")
    for name, problem in failures.items():
        print(printable(f"  {name}: {problem}"))


def by_model(
    names: list[str], outcomes: Iterable[Finding | str], failures: dict[str, str]
) -> Iterator[tuple[Chosen, list[str]]]:
    """Each model with the photos that need it, once all photos were looked at; `failures` gets those without one."""
    findings = []
    for name, found in zip(names, shown(outcomes, len(names), "looking"), strict=True):
        if isinstance(found, str):
            failures[name] = found
        else:
            findings.append(found)
    for need, ones in by_need(findings).items():
        waiting = [str(one.errand.photo) for one in ones]
        try:
            chosen = model_for(need)
        except RestorekitError as error:
            failures |= dict(zip(waiting, without_model(ones, str(error)), strict=True))
            continue
        print(f"{need}: using {chosen.name} for {len(ones)} photos", flush=True)
        yield chosen, waiting


def shown(outcomes: Iterable[R], count: int, name: str) -> Iterator[R]:
    """The outcomes, with a bar over them."""
    yield from tqdm(outcomes, desc=name, total=count, unit="photo", mininterval=1.0, file=sys.stderr)


if __name__ == "__main__":
    run_entry(main)
