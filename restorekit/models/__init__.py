"""Networks by name: `create_model` builds a network with its descriptor. Importing this package imports torch."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from restorekit.errors import RestorekitError, unknown_name
from restorekit.tasks import MODELS


def create_model(name: str, **options: Any) -> nn.Module:
    """The network `name` with random weights; without options, the paper's network.

    The class is `NETWORK` of restorekit.models.<name>, and takes the options class of restorekit.config.<name>. Raises
    RestorekitError for an unknown name, an unknown option and a value that the options class refuses.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    run: Any = import_module(f"restorekit.config.{name}").RUN
    checked = _checked(name, run.model_fields["options"].annotation, options)
    network: nn.Module = import_module(f"restorekit.models.{name}").NETWORK(checked)
    return network


def former_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that the network `name` no longer has, each with the only value that the network still supports."""
    run: Any = import_module(f"restorekit.config.{name}").RUN
    return dict(run.former_options(options))


def renamed_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an earlier version of the network `name`, under the names that they have now."""
    run: Any = import_module(f"restorekit.config.{name}").RUN
    return {run.renamed_options.get(option, option): value for option, value in options.items()}


def from_authors(name: str, tensors: Mapping[str, Tensor], variant: str = "reflection") -> nn.Module:
    """The model `name` with weights that its authors released: see restorekit.models.authors."""
    from restorekit.models import authors  # imported here, since authors.py imports this module

    return authors.from_authors(name, tensors, variant)


def _checked(name: str, kind: type[BaseModel], options: Mapping[str, Any]) -> BaseModel:
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        raise _refused(name, kind, error.errors()[0]) from None


def _refused(name: str, kind: type[BaseModel], problem: Any) -> RestorekitError:
    """The error for the first wrong value, with the text of the options class."""
    option = str(problem["loc"][0]) if problem["loc"] else None
    if option is not None and option not in kind.model_fields:
        return unknown_name(f"option of {name}", option, kind.model_fields)
    message = str(problem["msg"]).removeprefix("Value error, ")
    if option is None:
        return RestorekitError(f"{name}: {message}")
    known = get_args(kind.model_fields[option].annotation)
    if problem["type"] == "literal_error" and all(isinstance(choice, str) for choice in known):
        return unknown_name(f"{option} of {name}", str(problem["input"]), known)
    return RestorekitError(f"{name}'s {option}: {message} (found {problem['input']!r})")
