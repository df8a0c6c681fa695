"""Ports for servers that tests start, and for servers that do not exist."""

import errno
import random
import socket

#: Below the ports of outgoing connections, which begin at 32768 on Linux and at 49152 on macOS:
#: otherwise any connection could take a port before the server that it is meant for.
PORTS = range(10_000, 32_768)

#: No test seeds it.
_RANDOM = random.SystemRandom()

#: Those that were given to this process, which may not be in use yet.
_given: set[int] = set()


def free_port() -> int:
    """A port that was free a moment ago. Another server may take it before the caller does."""
    while True:
        port = _RANDOM.choice(PORTS)
        if port in _given:
            continue
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            _given.add(port)
            return port
