"""The networks by name: `create_model` builds one, and each describes itself. Importing this package imports torch."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from restorekit.errors import unknown_name
from restorekit.models.dakd import DAKD
from restorekit.models.dmgn import DMGN
from restorekit.models.glsgn import GLSGN
from restorekit.models.madf import MADF

MODELS: dict[str, type[nn.Module]] = {"dakd": DAKD, "dmgn": DMGN, "glsgn": GLSGN, "madf": MADF}


def create_model(name: str, **options: Any) -> nn.Module:
    """The network `name` with random weights; without options the paper's own.

    Raises RestorekitError for an unknown name, an unknown option and a value the network refuses.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    known = list(inspect.signature(MODELS[name]).parameters)
    for option in options:
        if option not in known:
            raise unknown_name(f"option of {name}", option, known)
    return MODELS[name](**options)


def from_authors(name: str, tensors: Mapping[str, Tensor], variant: str = "reflection") -> nn.Module:
    """The model `name` with weights that its authors released: see restorekit.models.authors."""
    from restorekit.models import authors  # which creates models

    return authors.from_authors(name, tensors, variant)
