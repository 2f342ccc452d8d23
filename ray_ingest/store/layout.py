"""What a store says of itself before anything is written to it."""

import redis
from redis.exceptions import RedisError

from ray_ingest.errors import ConfigError
from ray_ingest.store.keys import Keys
from ray_ingest.store.redis import connect, store_error


def ensure_partitions(client: redis.Redis, keys: Keys, partitions: int) -> None:
    """Record how many partitions the store is cut into, or check it: owners of another cut would write to
    each other's instruments. Raises ConfigError when it differs, StoreError when the server refuses."""
    try:
        client.set(keys.partitions(), partitions, nx=True)
        found = int(client.get(keys.partitions()) or partitions)
    except RedisError as error:
        raise store_error(client, error) from None
    if found != partitions:
        raise ConfigError(
            f"ingest.partitions={partitions}: this store is cut into {found}; use ingest.partitions={found} "
            "or another store"
        )


def producers_in(url: str, prefix: str) -> set[str]:
    """Producers whose ticks the store holds. Raises StoreError."""
    keys, found = Keys(prefix), set[str]()
    client = connect(url)
    try:
        for partition in range(int(client.get(keys.partitions()) or 0)):
            for name in client.hkeys(keys.meta(partition)):
                kind, _, producer = (name.decode("utf-8") if isinstance(name, bytes) else name).partition(":")
                if kind == "offset":
                    found.add(producer)
    except RedisError as error:
        raise store_error(client, error) from None
    finally:
        client.close()
    return found
