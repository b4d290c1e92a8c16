"""Servers on loopback for hub_test.py: a registry, a Hugging Face hub, a storage host, a ponder server; with faults on demand."""

import hashlib
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def git_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Server:
    """A server in a thread. `log` has (method, path, headers) of every request; `faults` of a path are used up one a request."""

    def __init__(self, certificate=None):
        self.log, self.faults, self.lock = [], {}, threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *unused):
                pass

            def handle_any(self):
                path = urllib.parse.urlsplit(self.path).path
                with outer.lock:
                    outer.log.append((self.command, path, dict(self.headers)))
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if self.command in ("POST", "PUT", "PATCH") else b""
                outer.answer(self, path, urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query), body)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *unused: None  # a client that was killed
        self.port = self.http.server_address[1]
        scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
            scheme = "https"
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{scheme}://{self.host}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()

    def requests(self, method, part):
        with self.lock:
            return [row for row in self.log if row[0] == method and part in row[1]]

    def fault(self, path):
        with self.lock:
            queue = self.faults.get(path)
            return queue.pop(0) if queue else None

    @staticmethod
    def reply(handler, status, body=b"", headers=()):
        handler.send_response(status)
        for name, value in headers:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def send_file(self, handler, path, data, headers=()):
        """With ranges, and with the path's next fault: a pair of a word and a number."""
        kind, value = self.fault(path) or ("", 0)
        if kind == "status":
            return self.reply(handler, value, b"come again")
        if kind == "wrong":
            data = bytes([data[0], data[1] ^ 1]) + data[2:] if value == 0 else data[:value] + b"?" + data[value + 1:]
        start, status = 0, 200
        match = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        condition = handler.headers.get("If-Range")
        fresh = condition is None or condition in dict(headers).values()
        if match and fresh and kind != "norange":
            start, status = int(match[1]), 206
            if start >= len(data):
                return self.reply(handler, 416)
        part = data[start:]
        handler.send_response(status)
        for name, value_ in headers:
            handler.send_header(name, value_)
        if status == 206:
            shown = start + 1 if kind == "shifted" else start
            handler.send_header("Content-Range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(part) + (5 if kind == "long" else 0)))
        handler.end_headers()
        if handler.command == "HEAD":
            return None
        if kind in ("cut", "hang"):
            handler.wfile.write(part[:value])
            handler.wfile.flush()
            if kind == "hang":
                time.sleep(20)
            handler.close_connection = True
            return handler.connection.close()
        if kind == "slow":
            for at in range(0, len(part), value):
                handler.wfile.write(part[at:at + value])
                time.sleep(0.01)
            return None
        handler.wfile.write(part + (b"extra" if kind == "long" else b""))
        return None


class Registry(Server):
    """Ollama's registry protocol. `token`: what a request must bear; given to who asks at /token."""

    def __init__(self, certificate=None):
        self.blobs, self.manifests, self.sessions = {}, {}, {}
        self.token, self.realm, self.storage = None, None, None
        super().__init__(certificate)

    def add(self, name, layers, config=None):
        """A model of (kind, bytes) layers under "namespace/model:tag"; returns its manifest's bytes."""
        config = json.dumps(config or {"model_format": "gguf", "model_family": "llama"}).encode()
        rows = []
        for kind, data in layers:
            self.blobs[digest_of(data)] = data
            rows.append({"mediaType": "application/vnd.ollama.image." + kind, "digest": digest_of(data), "size": len(data)})
        self.blobs[digest_of(config)] = config
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest_of(config), "size": len(config)},
            "layers": rows}).encode()
        self.manifests[name] = manifest
        return manifest

    def answer(self, handler, path, query, body):
        if path == "/token":
            self.asked = query
            return self.reply(handler, 200, json.dumps({"token": self.token}).encode())
        if self.token and handler.headers.get("Authorization") != "Bearer " + self.token:
            realm = self.realm or self.url + "/token"
            challenge = f'Bearer realm="{realm}",service="registry",scope="repository:x:pull repository:x:push"'
            return self.reply(handler, 401, b"no", [("WWW-Authenticate", challenge)])
        match = re.fullmatch(r"/v2/([^/]+/[^/]+)/(manifests|blobs)/(.*)", path)
        if not match:
            return self.reply(handler, 404)
        name, what, rest = match.groups()
        if what == "manifests":
            return self.manifest(handler, f"{name}:{rest}", path, body)
        if rest.startswith("uploads"):
            return self.upload(handler, path, query, body)
        if rest not in self.blobs:
            return self.reply(handler, 404)
        if self.storage and handler.command == "GET":
            return self.reply(handler, 307, b"", [("Location", f"{self.storage.url}/{rest}")])
        return self.send_file(handler, path, self.blobs[rest])

    def manifest(self, handler, name, path, body):
        fault = self.fault(path)
        if fault:
            return self.reply(handler, fault[1], b"busy")
        if handler.command == "PUT":
            self.manifests[name] = body
            return self.reply(handler, 201)
        if name not in self.manifests:
            return self.reply(handler, 404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        return self.reply(handler, 200, self.manifests[name], [("Content-Type", MANIFEST)])

    def upload(self, handler, path, query, body):
        if handler.command == "POST":
            self.sessions[str(len(self.sessions))] = b""
            return self.reply(handler, 202, b"", [("Location", f"{path}{len(self.sessions) - 1}")])
        session = path.rsplit("/", 1)[1]
        held = self.sessions[session]
        if handler.command == "GET":
            return self.reply(handler, 204, b"", [("Location", path), ("Range", f"0-{max(0, len(held) - 1)}")])
        if handler.command == "PATCH":
            first = int(handler.headers["Content-Range"].split("-")[0])
            fault = self.fault("PATCH")
            if first != len(held):
                return self.reply(handler, 416)
            self.sessions[session] = held + (body[:fault[1]] if fault else body)
            if fault:
                handler.close_connection = True
                return handler.connection.close()
            return self.reply(handler, 202, b"", [("Location", path)])
        digest = query["digest"][0]
        if digest_of(held) != digest:
            return self.reply(handler, 400, b"digest mismatch")
        self.blobs[digest] = held
        return self.reply(handler, 201)


class Storage(Server):
    """What a registry or a hub redirects to."""

    def __init__(self):
        self.files = {}
        super().__init__()

    def answer(self, handler, path, query, body):
        data = self.files.get(path.lstrip("/"))
        if data is None:
            return self.reply(handler, 404)
        headers = [("ETag", f'"{hashlib.md5(data).hexdigest()}"')]
        return self.send_file(handler, path, data, headers)


class Hub(Server):
    """Hugging Face's: revision, tree in pages, resolve; large files lie with `storage`."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, storage):
        self.repositories, self.storage, self.token = {}, storage, None
        super().__init__()

    def answer(self, handler, path, query, body):
        if self.token and handler.headers.get("Authorization") != "Bearer " + self.token:
            return self.reply(handler, 401, b"gated")
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)/(revision/main|tree/\w+)", path)
        if match and match[1] in self.repositories:
            if match[2].startswith("revision"):
                return self.reply(handler, 200, json.dumps({"sha": self.COMMIT}).encode())
            return self.tree(handler, path, self.repositories[match[1]], int(query.get("page", ["0"])[0]))
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/\w+/(.*)", path)
        data = self.repositories.get(match[1], {}).get(match[2]) if match else None
        if data is None:
            return self.reply(handler, 404)
        if self.large(match[2]):
            self.storage.files[digest_of(data)] = data
            return self.reply(handler, 302, b"", [("Location", f"{self.storage.url}/{digest_of(data)}")])
        return self.send_file(handler, path, data)

    @staticmethod
    def large(name):
        return name.endswith((".safetensors", ".gguf"))

    def tree(self, handler, path, files, page):
        rows = [{"type": "directory", "path": "folder", "size": 0, "oid": "0" * 40}] if page == 0 else []
        for name, data in sorted(files.items())[3 * page:3 * page + 3]:
            row = {"type": "file", "path": name, "size": len(data), "oid": git_id(data)}
            if self.large(name):
                row["lfs"] = {"oid": digest_of(data)[7:], "size": len(data)}
            rows.append(row)
        more = len(files) > 3 * page + 3
        link = [("Link", f'<{self.url}{path}?recursive=true&page={page + 1}>; rel="next"')] if more else []
        return self.reply(handler, 200, json.dumps(rows).encode(), link)


class Loaded(Server):
    """The two routes of a running server that ps and stop use."""

    def __init__(self, models):
        self.models, self.stopped = models, []
        super().__init__()

    def answer(self, handler, path, query, body):
        if path == "/api/ps":
            return self.reply(handler, 200, json.dumps({"models": self.models}).encode())
        asked = json.loads(body) if body else {}
        if path == "/api/generate" and asked.get("model") in [m["name"] for m in self.models]:
            self.stopped.append(asked)
            return self.reply(handler, 200, b'{"done":true,"done_reason":"unload"}')
        return self.reply(handler, 404, json.dumps({"error": f"model '{asked.get('model')}' not found"}).encode())
