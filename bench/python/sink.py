"""A server that accepts every write unread, and leaves the processor to the subject."""

import contextlib
import socket
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def running() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=_serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _serve(connection: socket.socket) -> None:
    with connection, connection.makefile("rb") as requests:
        while True:
            head = []
            while (line := requests.readline()) not in (b"\r\n", b""):
                head.append(line.lower())
            if not head:
                return
            if any(line.startswith(b"expect:") for line in head):
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = next(
                (int(line.split(b":")[1]) for line in head if line.startswith(b"content-length:")),
                0,
            )
            requests.read(length)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
