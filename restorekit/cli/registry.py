"""The commands about models: `models` lists shipped and registered ones, `import-weights` converts released ones."""

from pathlib import Path
from typing import Annotated, Any

import typer

from restorekit.tasks import tasks_of


def models() -> None:
    """Lists the models that come with restorekit, and the registered ones with their versions, aliases and scores."""
    from restorekit.tracking.versions import list_registered
    from restorekit.weights import PREFIX, shipped_records

    shipped, versions = shipped_records(), list_registered()
    if not versions and not shipped:
        print("no model is registered here yet: `dvc repro` trains, evaluates and registers them")
        return
    rows = [("model", "version", "aliases", "digest", "scores")]
    for name, record in shipped.items():
        rows.append((f"{PREFIX}{name}", "-", "-", record["digest"][:12], _shipped_scores(record)))
    for found in versions:
        rows.append(
            (found.name, str(found.version), ", ".join(found.aliases) or "-", found.digest[:12], _scores(found.tags))
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def import_weights(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="madf or dmgn.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The authors' .pth file, of which only tensors are read.")
    ],
    output: Annotated[Path, typer.Option(help="A new folder for the model, for `restore --model`.")],
    variant: Annotated[str, typer.Option(help=f"For dmgn: {', '.join(tasks_of('dmgn'))}.")] = "reflection",
    register: Annotated[bool, typer.Option("--register", help="Also register the model as a version.")] = False,
) -> None:
    """Converts weights released by a paper's authors to a model's folder; every tensor is checked."""
    from restorekit.models import authors

    record = authors.import_weights(name, file, output, variant)
    print(f"{file} -> {output} ({record['model']} for {record['task']}, digest {record['digest'][:12]})")
    if register:
        from restorekit.paths import working_root
        from restorekit.tracking.registry import find_or_register

        version = find_or_register(output, working_root().root)
        print(f"registered as {version.name} version {version.version}, {', '.join(version.aliases)}")


def _shipped_scores(record: dict[str, Any]) -> str:
    """The gains in a shipped model's record, such as `rain100L +5.1 dB`."""
    return ", ".join(f"{name} {scores['gain']:+.1f} dB" for name, scores in record.get("scores", {}).items())


def _scores(tags: dict[str, str]) -> str:
    """The scores in a version's tags, such as `synthetic-test.psnr_rgb 31.2, gain +4.1` for each test set."""
    scores = [f"{key} {value}" for key, value in sorted(tags.items()) if key.endswith((".psnr_rgb", ".ssim_rgb"))]
    return "; ".join(scores) or "not evaluated"
