"""A Hugging Face hub on this machine, with the faults that networks have.

    with HubServer() as hub:
        hub.add("timm/fastvit_t8.apple_in1k", "model.safetensors", content)
        subprocess.run(command, env={**os.environ, "HF_ENDPOINT": hub.endpoint})

It speaks the part of the hub's protocol that `hf_hub_download` uses: `HEAD` and `GET` of
`/{repo}/resolve/{revision}/{file}` with `ETag`, `X-Repo-Commit`, `Content-Length` and `Range`.
"""

import hashlib
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOGIN_PAGE = b"<!DOCTYPE html><html><body>Please log in to this network.</body></html>"

_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/[^/]+/(?P<file>.+)")


@dataclass
class HubFile:
    """A file on the hub.

    Attributes:
        content: What it is.
        break_off_at: Offsets in the file at which the connection breaks, one for each `GET` that
            reaches it, in that order; after these the file arrives.
        announced_size: What the server says the size is; None for the truth.
    """

    content: bytes
    break_off_at: list[int] = field(default_factory=list)
    announced_size: int | None = None

    @property
    def size(self) -> int:
        return len(self.content) if self.announced_size is None else self.announced_size


@dataclass(frozen=True)
class Request:
    """What was asked of the server."""

    method: str
    path: str
    range: str | None


class HubServer:
    """Serves the files that are added, until its `with` block ends.

    Attributes:
        endpoint: What to set `HF_ENDPOINT` to.
        requests: All requests so far.
        login_page: Whether to answer everything with a login page, as a hotel's network does.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.login_page = False
        self._files: dict[tuple[str, str], HubFile] = {}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub._answer(self)

            def do_GET(self) -> None:
                hub._answer(self)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> "HubServer":
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, repo: str, filename: str, content: bytes) -> HubFile:
        """Puts a file on the hub, and returns it, to be given faults."""
        self._files[repo, filename] = file = HubFile(content)
        return file

    def downloads(self, filename: str) -> list[Request]:
        """The requests for the content of a file, of whatever repository."""
        return [
            request
            for request in self.requests
            if request.method == "GET" and request.path.endswith(f"/{filename}")
        ]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked_range = handler.headers.get("Range")
        self.requests.append(Request(handler.command, handler.path, asked_range))
        if self.login_page:
            self._send(handler, 200, {"Content-Type": "text/html"}, LOGIN_PAGE)
            return
        match = _RESOLVE.fullmatch(handler.path)
        file = self._files.get((match["repo"], match["file"])) if match else None
        if match is None or file is None:
            known = match is not None and any(repo == match["repo"] for repo, _ in self._files)
            code = "EntryNotFound" if known else "RepoNotFound"
            self._send(handler, 404, {"X-Error-Code": code, "X-Repo-Commit": COMMIT}, b"")
            return

        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{hashlib.sha256(file.content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
        }
        start = int(asked_range.removeprefix("bytes=").partition("-")[0]) if asked_range else 0
        if asked_range:
            headers["Content-Range"] = f"bytes {start}-{file.size - 1}/{file.size}"
        end = None
        if handler.command == "GET" and file.break_off_at:
            end = file.break_off_at.pop(0)
        headers["Content-Length"] = str(file.size - start)
        self._send(handler, 206 if asked_range else 200, headers, file.content[start:end])

    @staticmethod
    def _send(
        handler: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes
    ) -> None:
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name, value)
        # HTTP/1.0: the connection closes behind the answer, whether or not it was whole.
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(body)
