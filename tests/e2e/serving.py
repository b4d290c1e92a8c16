"""What the tests of the server share: a running `ponder serve`, and a virtual environment with a client package."""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

from harness import PONDER, SANITIZED, SKIPPED, SOURCE

SHIPPED = SOURCE / "models" / "zero.gguf"
START_SECONDS = 300 if SANITIZED else 60


class Server:
    """`ponder serve ARGUMENTS` on a free port, stopped by SIGTERM at the end of the `with` block."""

    def __init__(self, *arguments, environment=None):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("OLLAMA_") and name not in ("PONDER_API_KEY", "VLLM_API_KEY")}
        self.process = subprocess.Popen([PONDER, "serve", *map(str, arguments), "--port", "0"], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=dict(clean, **(environment or {})))
        self.said = []
        self.port = None
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(r"listens on (https?)://.*:(\d+)$", line.strip())
            if found:
                self.port = int(found[2])
                break
        if self.port is None:
            raise AssertionError(f"the server did not start: {self.said} {self.process.stderr.read()}")
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def stop(self):
        """Ends the server; returns its exit status and what it wrote to stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, errors = self.process.communicate(timeout=120)
        self.said.append(out)
        return self.process.returncode, errors

    def call(self, method, path, body=None, headers=None):
        """(status, headers, parsed JSON or text)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        data = body if isinstance(body, (str, bytes)) or body is None else json.dumps(body)
        connection.request(method, path, data, headers or {})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        is_json = reply.headers.get("Content-Type", "").startswith("application/json")
        return reply.status, reply.headers, json.loads(text) if is_json and text else text


def client_python(*packages):
    """Runs this script again with a Python that has the packages, in a virtual environment of its own. Returns in that
    second run; where packages cannot be installed the test is skipped, loudly."""
    if os.environ.get("PONDER_CLIENT_VENV"):
        return
    folder = pathlib.Path(os.environ.get("PONDER_VENVS", SOURCE / "build" / "venvs")) / "-".join(packages)
    python = folder / "bin" / "python3"
    stamp = folder / "installed"
    if not stamp.exists():
        for command in ([sys.executable, "-m", "venv", folder], [python, "-m", "pip", "install", "-q", *packages]):
            done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                print(f"SKIPPED: cannot install {' '.join(packages)}, so no official client was tried: {done.stdout[-500:]}")
                sys.exit(SKIPPED)
        stamp.write_text("\n".join(packages))
    done = subprocess.run([str(python), *sys.argv], env=dict(os.environ, PONDER_CLIENT_VENV=str(folder)))
    sys.exit(done.returncode)
