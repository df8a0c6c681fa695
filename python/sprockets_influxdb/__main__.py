"""The command for operators, as ``python -m sprockets_influxdb``: the same as ``sprockets-influxdb``."""

import signal
import sys

from sprockets_influxdb import _native


def main() -> int:
    """Run the command with the process's arguments, and return what the process is to end with."""
    # Python's own handler would keep a Ctrl-C until the call returns.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _native.command(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
