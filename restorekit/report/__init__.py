"""The report of all results: pictures, tables and curves in one folder that needs no network."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """The page's templates; every value is escaped, except markup from charts.py."""
    return Environment(
        loader=PackageLoader("restorekit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
