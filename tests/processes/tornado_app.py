"""A Tornado application in two processes.

``INSTALL`` says whether its client is installed before or after the fork, the argument how the
processes start. Ends well on SIGTERM.
"""

import os
import signal
import sys

from matrix import add
from tornado import httpserver, ioloop, netutil, process, web

import sprockets_influxdb as influxdb


class Handler(web.RequestHandler):
    def get(self) -> None:
        add("request")
        self.write(str(os.getpid()))


def stop(*_signal: object) -> None:
    loop = ioloop.IOLoop.current()
    loop.add_callback_from_signal(loop.stop)


def main(start: str, port: int) -> None:
    if os.environ["INSTALL"] == "before":
        influxdb.install()
    application = web.Application([("/", Handler)])
    if start == "start":
        server = httpserver.HTTPServer(application)
        server.bind(port, "127.0.0.1")
        server.start(2)
    else:
        sockets = netutil.bind_sockets(port, "127.0.0.1")
        process.fork_processes(2)
        server = httpserver.HTTPServer(application)
        server.add_sockets(sockets)
    if os.environ["INSTALL"] == "after":
        influxdb.install()
    signal.signal(signal.SIGTERM, stop)
    # In one piece, as the other process prints too.
    sys.stdout.write(f"worker {os.getpid()}\n")
    ioloop.IOLoop.current().start()


main(sys.argv[1], int(sys.argv[2]))
