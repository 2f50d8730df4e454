"""A plain file server that can go wrong in every way a host does, and counts what it is asked for."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FileServer:
    """`files` path -> bytes; `faults` path -> how often and how it goes wrong; `log` the requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.faults: dict[str, list[Callable[[Any, bytes], None]]] = {}
        self.log: list[tuple[str, dict[str, str]]] = []
        handler = type("Handler", (_Handler,), {"owner": self})
        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"

    def __enter__(self) -> FileServer:
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.owner.log.append((path, dict(self.headers)))
        data = self.owner.files.get(path)
        faults = self.owner.faults.get(path)
        if faults:
            faults.pop(0)(self, data or b"")
        elif data is None:
            self.send_error(404)
        else:
            self.head(len(data), self.owner.types.get(path, "application/octet-stream"))
            self.wfile.write(data)

    def head(self, length: int | None, content_type: str = "application/octet-stream") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()


def status(number: int, **headers: str) -> Callable[[Any, bytes], None]:
    """Answer with this status."""

    def fault(handler: Any, _data: bytes) -> None:
        handler.send_response(number)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def truncated(handler: Any, data: bytes) -> None:
    """Half the bytes that the head announced."""
    handler.head(len(data))
    handler.wfile.write(data[: len(data) // 2])


def cut_without_length(handler: Any, data: bytes) -> None:
    """Half the bytes, and no word of how many there should be."""
    handler.head(None)
    handler.wfile.write(data[: len(data) // 2])


def reset(handler: Any, data: bytes) -> None:
    """Half the bytes, then the connection is torn down."""
    handler.head(len(data))
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    # Lingering for zero seconds makes close() send RST instead of FIN.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def corrupted(handler: Any, data: bytes) -> None:
    """As many bytes, one of them another."""
    handler.head(len(data))
    handler.wfile.write(data[:-1] + bytes([data[-1] ^ 1]))


def silent(handler: Any, data: bytes) -> None:
    """Half the bytes, then nothing for longer than any test waits."""
    handler.head(len(data))
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    time.sleep(3)


def endless(handler: Any, _data: bytes) -> None:
    """More and more bytes, without a length."""
    handler.head(None)
    try:
        while True:
            handler.wfile.write(bytes(1 << 16))
    except OSError:
        pass
