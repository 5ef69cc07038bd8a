"""XMP packets, kept byte for byte except for what an upright, changed picture makes wrong.

The packets are edited as text: no XML is read, so that a hostile packet can do no harm.
"""

import re

# Values as attributes or elements: XMP specification part 2 (Adobe, 2016), tables 2.7 and 2.8.
_UPRIGHT = {b"tiff:Orientation": "1"}
_WIDTHS, _HEIGHTS = (b"tiff:ImageWidth", b"exif:PixelXDimension"), (b"tiff:ImageLength", b"exif:PixelYDimension")

# Elements about other pictures in the file, which a written file does not have.
_ELEMENTS = (b"xmp:Thumbnails", b"xap:Thumbnails", b"GContainer:Directory", b"Container:Directory")
_GAIN_MAP = b"hdrgm:Version"
_OF_OTHER_PICTURES = (b"hdrgm", b"GCamera:MotionPhoto", b"GCamera:MicroVideo")


def upright_xmp(packet: bytes, width: int, height: int) -> bytes:
    """The packet with orientation 1 and the given size, without thumbnails, gain maps and motion photos."""
    values = _UPRIGHT | dict.fromkeys(_WIDTHS, str(width)) | dict.fromkeys(_HEIGHTS, str(height))
    for name, value in values.items():
        packet = re.sub(name + rb"(=[\"'])\d{1,9}(?=[\"'])", name + rb"\g<1>" + value.encode(), packet)
        packet = re.sub(rb"<" + name + rb">\d{1,9}<", b"<" + name + b">" + value.encode() + b"<", packet)
    for name in _ELEMENTS:
        packet = _without(packet, name)
    for name in _OF_OTHER_PICTURES:
        packet = re.sub(rb"\s" + name + rb":?\w{0,64}=(\"[^\"<]*\"|'[^'<]*')", b"", packet)
        for element in set(re.findall(rb"<(" + name + rb":?\w{0,64})>", packet)):
            packet = _without(packet, element)
    return packet


def describes_gain_map(packet: bytes) -> bool:
    """Whether the packet belongs to a picture with a gain map (Ultra HDR)."""
    return _GAIN_MAP in packet


def _without(packet: bytes, element: bytes) -> bytes:
    """The packet without the elements of that name."""
    opening, closing = b"<" + element, b"</" + element + b">"
    pieces, place = [], 0
    while (start := packet.find(opening, place)) >= 0 and (end := packet.find(closing, start)) >= 0:
        pieces.append(packet[place:start])
        place = end + len(closing)
    return b"".join([*pieces, packet[place:]])
