"""Which partition owns an instrument: `blake2b(exchange|token) % partitions`, the same for ever."""

from hashlib import blake2b

from ray_ingest.core.instruments import sanitise


def partition_of(exchange: str, token: str, partitions: int) -> int:
    """The owning partition of an instrument, 0 ≤ result < partitions.

    The hash is the first 8 bytes, little-endian, of BLAKE2b over "EXCHANGE|token" in UTF-8, the exchange in
    upper case and the token sanitised, so both spellings of a token meet in one partition.
    """
    digest = blake2b(f"{exchange.upper()}|{sanitise(token)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % partitions
