"""What the tests of the server share: a running `ponder serve`, and a virtual environment with a client package."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

from harness import BUILD, PONDER, SANITIZED, SKIPPED, SOURCE

SHIPPED = SOURCE / "models" / "zero.gguf"
START_SECONDS = 300 if SANITIZED else 60


class Server:
    """`ponder serve ARGUMENTS` on a free port, stopped by SIGTERM at the end of the `with` block."""

    def __init__(self, *arguments, environment=None):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("OLLAMA_") and name not in ("PONDER_API_KEY", "VLLM_API_KEY")}
        clean["PONDER_MODELS"] = str(BUILD / "no-models")  # without models it serves the shipped one, whoever runs the test
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


def client_node(*packages):
    """A folder with the npm packages; a script that lies in it can import them. Where there is no node or npm, or packages
    cannot be installed, the test is skipped, loudly."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            print(f"SKIPPED: there is no {program}, so no client of npm's was tried")
            sys.exit(SKIPPED)
    name = "npm-" + "-".join(package.replace("/", "+") for package in packages)
    folder = pathlib.Path(os.environ.get("PONDER_VENVS", SOURCE / "build" / "venvs")) / name
    stamp = folder / "installed"
    if not stamp.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", *packages], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print(f"SKIPPED: cannot install {' '.join(packages)}, so no client of npm's was tried: {done.stdout[-500:]}")
            sys.exit(SKIPPED)
        stamp.write_text("\n".join(packages))
    return folder


def refused(kind, call):
    """The error of this class that the call raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def wait_until(what, condition, seconds=60):
    """Waits until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def running(server, model):
    """How many requests of the model the server is working on."""
    page = server.call("GET", "/metrics")[2]
    return int(re.search(rf'^ponder_requests_running{{model_name="{model}"}} (\d+)$', page, re.MULTILINE)[1])
