"""What public pairs are like, in figures, for the page of degradations: run it again wherever you have the sets.

python tests/bench/reference_traits.py restorekit/report/reference_traits.json rain:Rain100L:plain:/data/Rain100L

Every set is task:name:layout:root, as in `real.evaluate`; all of its pairs that are there are measured.
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from restorekit.files import write_json
from restorekit.layouts import get_layout
from restorekit.report.traits import Traits, traits_of
from restorekit.sources.folders import list_pictures
from restorekit.sources.matching import match_names
from restorekit.sources.real_pairs import find_pairs, load_pair

DIGITS = {"psnr": 2, "share": 3, "direction": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("sets", nargs="+", help="task:name:layout:root")
    arguments = parser.parse_args()
    entries = [_entry(_measured(*one.split(":", 3))) for one in arguments.sets]
    write_json(arguments.target, entries)
    for entry in entries:
        print(f"{entry['task']:12} {entry['name']:24} {entry['psnr']} dB, share {entry['share']}, n {entry['n']}")


def _measured(task: str, name: str, layout: str, root: str) -> Traits:
    folder = Path(root)
    count = len(match_names(get_layout(layout), list_pictures(name, folder)).pairs)  # parts of a set will do
    pairs = find_pairs(name, folder, layout, count)
    loaded = (load_pair(folder, pair) for pair in pairs)
    return traits_of(task, name, ((one.degraded, one.clean) for one in loaded if one.clean is not None))


def _entry(traits: Traits) -> dict[str, Any]:
    rounded = {
        name: None if (values := getattr(traits, name)) is None else [round(value, digits) + 0.0 for value in values]
        for name, digits in DIGITS.items()
    }
    return {**asdict(traits), **rounded}


if __name__ == "__main__":
    main()
