"""What can be wrong with masters and with what a user asks of them."""

from ray_ingest.errors import ConfigError


class MastersError(ConfigError):
    """A broker's master is absent, can't be had, or can't be read."""


class UnknownInstrumentError(ConfigError):
    """No master has an instrument of this name; the text names near matches."""
