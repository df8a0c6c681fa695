"""Ports for servers that tests start, and for servers that do not exist."""

import errno
import random
import socket

#: Below the ports of outgoing connections, which begin at 32768 on Linux and at 49152 elsewhere:
#: otherwise any connection could take a port before the server that it is meant for.
PORTS = range(10_000, 32_768)


def free_port() -> int:
    """A port that was free a moment ago. Another server may take it before the caller does."""
    while True:
        port = random.choice(PORTS)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return port
