"""Numbers and names as the pages write them."""

import re


def signed(value: float, digits: int) -> str:
    """With a sign, and with a minus as long as the plus."""
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def slug(text: str) -> str:
    """`text` as lower-case letters, digits and hyphens only."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "image"
