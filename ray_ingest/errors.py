"""Every error a user can meet, each with the exit code the command line gives it."""


class RayIngestError(Exception):
    """Base of all errors raised on purpose; its text is one line a person can act on."""

    exit_code = 1


class ConfigError(RayIngestError):
    """A setting is unknown, mistyped or contradicts another; raised before anything starts."""

    exit_code = 2


class TokenError(ConfigError):
    """A broker's token or client id is missing, or what is there can't be one."""


class InputError(RayIngestError):
    """A file or tape given by the user can't be read as ticks."""

    exit_code = 3


class StoreError(RayIngestError):
    """The Redis or Valkey server is absent, unfit, or refuses to work."""

    exit_code = 4


class StoreUnreachableError(StoreError):
    """The server can't be reached at all, now; the same call may succeed later."""


class FencedError(StoreError):
    """This owner has been replaced for good: one that claimed later holds the partition."""


class OwnerLostError(StoreError):
    """A commit was refused because the store names another owner: claiming tells whether for good, or only
    because the store went back to an earlier state."""


class OffsetError(StoreError):
    """A batch does not continue the committed offset of its producer."""


class JournalError(RayIngestError):
    """The journal's folder can't be used, or what is asked for isn't in it."""

    exit_code = 7


class JournalBusyError(JournalError):
    """Another process writes this journal now; the same call may succeed once it has ended."""


class UnknownInstrumentError(RayIngestError):
    """The instrument has no candles in the store; the text names near matches."""

    exit_code = 5


class ActorError(RayIngestError):
    """An actor failed in a way that restarting it did not mend."""

    exit_code = 6


class ProcessSpentError(RayIngestError):
    """Something of a broker's SDK runs on and can't be ended: the feed goes on in a new process."""

    exit_code = 6
