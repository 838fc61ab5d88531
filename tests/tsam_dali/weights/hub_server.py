"""A server that speaks as much of the protocol of the Hugging Face Hub as pushing and loading networks takes."""

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

TOKEN = "hf_of_ann"
LARGE = (".safetensors", ".mp4", ".bin")
"""Files that are kept apart, by their SHA-256, and from where a client is redirected to them."""


class Hub:
    """The server, in a `with` statement. Repositories hold whole commits, the latest last."""

    def __init__(self, port: int):
        self.address = f"http://127.0.0.1:{port}"
        self.repositories: dict[str, dict[str, dict[str, bytes]]] = {}  # name -> commit -> path -> content
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"hub": self}))

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception) -> None:
        self._server.shutdown()
        self._server.server_close()

    def commit(self, name: str, files: dict[str, bytes]) -> str:
        """Add files to those of the latest commit."""
        commits = self.repositories.setdefault(name, {})
        whole = (list(commits.values()) or [{}])[-1] | files
        oid = hashlib.sha1(f"{len(commits)} {sorted(whole)}".encode()).hexdigest()
        commits[oid] = whole
        return oid

    def asked_for(self) -> list[str]:
        """The requests since the last call."""
        asked, self.requests = self.requests, []
        return asked


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_) -> None:
        pass

    def do_HEAD(self) -> None:
        self._file()

    def do_GET(self) -> None:
        self._file()

    def do_PUT(self) -> None:
        self.hub.large[self.path.rpartition("/")[2]] = self._body()
        self._answer(200)

    def do_POST(self) -> None:
        self.hub.requests.append(f"POST {self.path}")
        body = self._body()
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"warnings": [], "errors": []})
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            if name in self.hub.repositories:
                return self._answer(409, {"url": f"{self.hub.address}/{name}"})
            self.hub.repositories[name] = {}
            self.hub.private[name] = asked.get("private") or asked.get("visibility") == "private"
            return self._answer(200, {"url": f"{self.hub.address}/{name}"})
        if self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [self._upload(one) for one in json.loads(body)["objects"]]
            return self._answer(200, {"transfer": "basic", "objects": objects})
        _, name, what, _ = re.fullmatch(r"(/api/models)/([^/]+/[^/]+)/(\w+)/(\w+)", self.path).groups()
        if what == "preupload":
            modes = [self._mode(one["path"]) for one in json.loads(body)["files"]]
            return self._answer(200, {"files": modes})
        oid = self.hub.commit(name, dict(filter(None, map(self._committed, body.splitlines()))))
        return self._answer(200, {"commitUrl": f"{self.hub.address}/{name}/commit/{oid}", "commitOid": oid})

    def _upload(self, one: dict) -> dict:
        return {**one, "actions": {"upload": {"href": f"{self.hub.address}/large/{one['oid']}"}}}

    @staticmethod
    def _mode(path: str) -> dict:
        return {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False}

    def _committed(self, line: bytes) -> tuple[str, bytes] | None:
        entry = json.loads(line)
        value = entry["value"]
        match entry["key"]:
            case "file":
                return value["path"], base64.b64decode(value["content"])
            case "lfsFile":
                return value["path"], self.hub.large[value["oid"]]
        return None

    def _file(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.path.startswith("/large/"):
            return self._send(200, self.hub.large[self.path.rpartition("/")[2]])
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        commits = self.hub.repositories.get(found[1]) if found else None
        if not found or commits is None:
            return self._answer(401, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        commit = list(commits)[-1] if found[2] == "main" else found[2]
        if commit not in commits:
            return self._answer(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        content = commits[commit].get(found[3])
        if content is None:
            kind = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
            return self._answer(404, {"error": "Entry not found"}, kind)
        if not found[3].endswith(LARGE):
            etag = f'"{hashlib.sha1(content).hexdigest()}"'
            return self._send(200, content, {"X-Repo-Commit": commit, "ETag": etag})
        digest = hashlib.sha256(content).hexdigest()
        self.hub.large[digest] = content
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content)), "X-Repo-Commit": commit}
        elsewhere = self.hub.address.replace("127.0.0.1", "localhost")  # as the Hub: on another host
        return self._send(302, b"", {"Location": f"{elsewhere}/large/{digest}", **linked})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, content: object = None, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
