"""photos -> restored photos, by the thousand: a folder or an address into another, one model in each worker.

python -m pipelines.restore --input photos --output restored --task rain
python -m pipelines.restore --input s3://mine/photos --output s3://mine/restored --model glsgn-rain
ray job submit --working-dir . -- python -m pipelines.restore --input ... --output ... --model ...

Photos that have a result are left out, so that the same command goes on after a stop. Photos that cannot be restored
are listed in failures.json in the output, and tried again by the next run. No stage of `dvc repro`.
"""

import argparse
import sys
from dataclasses import replace

from tqdm import tqdm

from restorekit.cluster import ray_cluster, room_for
from restorekit.entry import printable, run_entry
from restorekit.errors import RestorekitError
from restorekit.files import write_json
from restorekit.restoring.choice import load_chosen
from restorekit.restoring.opening import Settings, check_mask
from restorekit.restoring.photo_file import Wishes
from restorekit.restoring.thousands import FAILURES, Move, Place, on_gpus, restore_everywhere, waiting_photos


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
    failures = {}
    if names:
        chosen = load_chosen(found.model, found.task, found.alias)
        check_mask(chosen, has_mask=False)
        move = replace(move, record=chosen.record)
        with ray_cluster(found.workers):
            outcomes = restore_everywhere(on_gpus(move, room_for(0.0, 1.0) > 0), chosen.network, names)
            for name, problem in tqdm(outcomes, total=len(names), unit="photo", mininterval=1.0, file=sys.stderr):
                if problem:
                    failures[name] = problem
    with output.writing(FAILURES) as file:
        write_json(file, failures)
    print(f"{len(names) - len(failures)} photos restored to {output.address}, {len(failures)} not")
    for name, problem in failures.items():
        print(printable(f"  {name}: {problem}"))


if __name__ == "__main__":
    run_entry(main)
