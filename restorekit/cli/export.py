"""The command `export`: a model in a format that other programs read."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A registered model, shipped:<task>, or a folder.")],
    onnx: Annotated[Path, typer.Option("--onnx", help="The file to write; it ends in .onnx.")],
    alias: Annotated[str, typer.Option(help="The registered version to use.")] = "champion",
) -> None:
    """Writes a model as an ONNX file for images of any size, after onnxruntime gave the same results as torch."""
    from restorekit.inference.onnx_file import write_onnx
    from restorekit.paths import working_root
    from restorekit.tracking.named import load_named

    network, record = load_named(model, working_root().root, alias, beside=Path())
    written = write_onnx(network, record, onnx)
    sizes = ", ".join(f"{width} x {height}" for height, width in written.sizes)
    print(f"{model} -> {onnx} (within {written.difference:.1g} of torch at {sizes} pixels)")
