"""What the command lines share: complaints in one line, exit codes, a reader that goes away, Ctrl-C."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Never

from ray_ingest.errors import ConfigError, RayIngestError

INTERRUPTED = 130


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaint is a ConfigError of one line; for its subcommands, too."""

    def error(self, message: str) -> Never:  # noqa: D102 — see the class
        raise ConfigError(f"{message} (see {self.prog} --help)")


def exit_code_of(command: Callable[[], int]) -> int:
    """Run a command and return its exit code, or that of the error whose one line goes to stderr."""
    try:
        code = command()
        sys.stdout.flush()
    except RayIngestError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what Python would flush at exit has nowhere to go.
        with suppress(OSError, ValueError):  # a stdout that is no file has nothing to flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    return code
