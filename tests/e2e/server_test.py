#!/usr/bin/env python3
"""`ponder serve` as a program: flags and variables, keys, TLS, several models, streams on the wire, the end."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import tempfile
import time

from harness import call, require_program
from serving import SHIPPED, Server

require_program()

CHAT = {"messages": [{"role": "user", "content": "37+8*3-5*7=?"}], "temperature": 0}


def refuses(*arguments, status=1, **keywords):
    done = call("serve", *arguments, **keywords)
    text = done.stderr.decode()
    assert done.returncode == status, (arguments, done.returncode, text)
    assert text.count("\n") == 1, text
    return text


def wrong_usage(folder):
    assert "--max-model-len" in refuses("--max-modellen", "5", status=2)
    assert "--tensor-parallel-size" in refuses("--tensor-paralel-size=2", status=2)
    assert "keys" in refuses("--host", "0.0.0.0")
    assert "keys" in refuses(environment={"OLLAMA_HOST": "0.0.0.0:0"})
    assert "no-such-model" in refuses("no-such-model")
    assert "--ctx" in refuses("--ctx", "many")
    assert "--kv-type" in refuses("--kv-type", "f8")
    keys = folder / "keys.txt"
    keys.write_text("my-secret-key me\n")
    text = refuses("--api-keys", keys)
    assert f"{keys}:1" in text and "my-secret-key" not in text, text
    keys.write_text("# nothing\n")
    assert "no key" in refuses("--api-keys", keys)


def flags_of_others():
    arguments = (SHIPPED, "--tensor-parallel-size", "2", "--max-model-len", "128", "--enforce-eager", "--served-model-name",
                 "r1", "--no-log")
    with Server(*arguments) as server:
        models = server.call("GET", "/v1/models")[2]["data"]
        assert [m["id"] for m in models] == ["r1"] and models[0]["max_model_len"] == 128, models
        for name in ("r1", "zero", str(SHIPPED)):
            assert server.call("POST", "/v1/chat/completions", dict(CHAT, model=name))[0] == 200, name
        status, errors = server.stop()
    assert status == 0 and "--tensor-parallel-size has no effect" in errors and "--enforce-eager" in errors, errors
    with Server(environment={"OLLAMA_HOST": "localhost", "OLLAMA_CONTEXT_LENGTH": "64"}) as server:
        assert server.call("POST", "/v1/chat/completions", dict(CHAT, model="reasoner"))[0] == 200
        assert server.call("GET", "/v1/models")[2]["data"][0]["max_model_len"] == 64


def several_models(folder):
    other = folder / "other.gguf"
    shutil.copy(SHIPPED, other)
    with Server(SHIPPED, other, "--no-log") as server:
        texts = set()
        for name in ("zero", "other"):
            reply = server.call("POST", "/v1/chat/completions", dict(CHAT, model=name))[2]
            assert reply["model"] == name
            texts.add(reply["choices"][0]["message"]["content"])
        assert texts == {"37"}
        assert server.call("POST", "/v1/chat/completions", dict(CHAT, model="third"))[0] == 404


def stream_on_the_wire():
    with Server(SHIPPED, "--no-log") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/chat/completions", json.dumps(dict(CHAT, stream=True)))
        reply = connection.getresponse()
        assert reply.headers["Content-Type"] == "text/event-stream" and reply.headers["Transfer-Encoding"] == "chunked"
        events = reply.read().decode().split("\n\n")
        assert events[-1] == "" and events[-2] == "data: [DONE]"
        ids = []
        for event in events[:-2]:
            first, second = event.split("\n")
            assert first.startswith("id: ") and second.startswith("data: {")
            ids.append(first)
        assert len(set(ids)) == len(ids)
        whole = server.call("POST", "/chat/completions", CHAT)[2]
        deltas = [json.loads(e.split("\ndata: ")[1])["choices"][0]["delta"] for e in events[:-2]]
        message = whole["choices"][0]["message"]
        assert "".join(d.get("content") or "" for d in deltas) == message["content"]
        assert "".join(d.get("reasoning_content") or "" for d in deltas) == message["reasoning_content"]


def budget():
    with Server(SHIPPED, "--no-log") as server:
        for tokens in (1, 5, 9):
            usage = server.call("POST", "/v1/chat/completions", dict(CHAT, thinking_budget=tokens))[2]["usage"]
            assert abs(usage["completion_tokens_details"]["reasoning_tokens"] - tokens) <= 1, (tokens, usage)
        off = server.call("POST", "/v1/chat/completions", dict(CHAT, thinking={"type": "disabled"}))[2]
        assert off["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0
        page = server.call("GET", "/metrics")[2]
        assert 'ponder_thinking_budget_stops_total{model_name="zero"} 3' in page


def tls(folder):
    if shutil.which("openssl") is None:
        print("no openssl program: TLS was not tried")
        return
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days",
                    "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Server(SHIPPED, "--tls-cert", certificate, "--tls-key", key, "--no-log") as server:
        connection = http.client.HTTPSConnection("localhost", server.port, timeout=60,
                                                 context=ssl.create_default_context(cafile=certificate))
        for _ in range(2):
            connection.request("POST", "/v1/chat/completions", json.dumps(dict(CHAT, stream=True)))
            reply = connection.getresponse()
            assert reply.status == 200 and reply.read().endswith(b"data: [DONE]\n\n")
        connection.close()
    refuses("--tls-cert", certificate)
    assert str(certificate) in refuses("--tls-cert", certificate, "--tls-key", certificate)


def port_in_use():
    with Server(SHIPPED, "--no-log") as server:
        assert str(server.port) in refuses("--port", server.port)


def signals():
    for which in (signal.SIGTERM, signal.SIGINT):
        server = Server(SHIPPED, "--no-log")
        assert server.call("GET", "/health")[0] == 200
        server.process.send_signal(which)
        started = time.monotonic()
        out, _ = server.process.communicate(timeout=60)
        assert server.process.returncode == 0 and "stopped" in out and time.monotonic() - started < 30
    server = Server(SHIPPED, "--no-log")
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.communicate()
    with Server(SHIPPED, "--no-log") as again:
        assert again.call("GET", "/health")[0] == 200


def restart_keeps_prompts(folder):
    store = folder / "prefixes"
    prompt = "37+8*3-5*7+" * 12 + "1=?"
    body = dict(CHAT, messages=[{"role": "user", "content": prompt}], max_tokens=8)
    with Server(SHIPPED, "--prefix-cache", store, "--no-log") as server:
        first = server.call("POST", "/chat/completions", body)[2]
    with Server(SHIPPED, "--prefix-cache", store, "--no-log") as server:
        second = server.call("POST", "/chat/completions", body)[2]
    assert second["usage"]["prompt_cache_hit_tokens"] >= 64, second["usage"]
    assert second["choices"] == first["choices"]


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        wrong_usage(folder)
        flags_of_others()
        several_models(folder)
        stream_on_the_wire()
        budget()
        tls(folder)
        port_in_use()
        signals()
        restart_keeps_prompts(folder)
    print("the server behaves")


main()
