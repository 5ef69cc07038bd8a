"""Photoshop's image resources, in which JPEG and TIFF files keep IPTC records (title, keywords, place, rights)."""

from collections.abc import Iterator

IPTC = 0x0404
# Previews of the old picture (two versions), its profile and its EXIF blocks, which files keep elsewhere.
_STALE = {0x0409, 0x040C, 0x040F, 0x0422, 0x0423}
_SIGNATURE = b"8BIM"


def kept_resources(resources: bytes) -> bytes | None:
    """The blocks, byte for byte, without those that describe the old pixels; None where none is left."""
    return b"".join(block for number, _, block in _blocks(resources) if number not in _STALE) or None


def iptc_of(resources: bytes) -> bytes | None:
    """The IPTC records (IPTC-NAA Information Interchange Model) in a photo's resources."""
    return next((content for number, content, _ in _blocks(resources) if number == IPTC), None)


def resources_with(iptc: bytes, resources: bytes | None) -> bytes:
    """The resources with these IPTC records, if they have none."""
    if resources and iptc_of(resources):
        return resources
    block = _SIGNATURE + IPTC.to_bytes(2, "big") + b"\x00\x00" + len(iptc).to_bytes(4, "big") + iptc
    return (resources or b"") + block + b"\x00" * (len(iptc) % 2)


def _blocks(resources: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, content and whole block of each resource, up to the first damaged one."""
    place = 0
    while resources[place : place + 4] == _SIGNATURE and place + 12 <= len(resources):
        number = int.from_bytes(resources[place + 4 : place + 6], "big")
        name = 1 + resources[place + 6]
        start = place + 6 + name + name % 2
        length = int.from_bytes(resources[start : start + 4], "big")
        content = resources[start + 4 : start + 4 + length]
        if len(content) < length:
            return
        end = start + 4 + length + length % 2
        yield number, content, resources[place:end].ljust(end - place, b"\x00")
        place = end
