"""What a step frees stays with the process: glibc gives large blocks back, and each comes again as pages to zero."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
KEPT = 2**30  # bytes; larger blocks are still given back


def keep_freed_memory() -> None:
    """Makes glibc's malloc keep what is freed, in this process and until it ends; elsewhere it changes nothing.

    The process then stays as large as it once was. A step of DAKD asked for 31000 to 38000 pages less,
    6 to 9 % of its processor time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(parameter, KEPT)
