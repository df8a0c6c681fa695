"""The command ``python -m sprockets_influxdb``, which is the same as ``sprockets-influxdb``."""

import signal
import sys

from sprockets_influxdb import _native


def main() -> int:
    """Run the command with the process's arguments, and return the exit status."""
    # Python's own handler would delay Ctrl-C until the call returns.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
