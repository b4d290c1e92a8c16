#!/usr/bin/env python3
"""Receipts and `ponder replay`, and streams that outlive their connection and a server that is killed: durable_test.py [KILLS].

The server is killed (SIGKILL) at KILLS moments in mid-answer, started again, and asked for the rest of the stream: what the
client then has is, byte for byte, what it would have had; so are the hits of the prefix cache, and no file is damaged.
"""

import hashlib
import http.client
import json
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

from harness import call, require_program
from serving import SHIPPED, Server

require_program()

KILLS = int(sys.argv[1]) if len(sys.argv) > 1 else 10
PROMPT = "37+8*3-5*7+" * 8 + "1=?"  # more than a page of the prefix cache
CHAT = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 1, "seed": 11, "ignore_eos": True, "stream": True}
DIALECTS = {
    "/v1/chat/completions": dict(CHAT, stream_options={"include_usage": True}),
    "/chat/completions": CHAT,
    "/v1/completions": {"prompt": PROMPT, "max_tokens": 150, "seed": 12, "ignore_eos": True, "stream": True,
                        "stream_options": {"include_usage": True}},
    "/v1/responses": {"input": PROMPT, "seed": 13, "ignore_eos": True, "stream": True},
    "/v1/messages": {"messages": CHAT["messages"], "max_tokens": 150, "seed": 14, "stream": True},
}
RESUMABLE = {"X-Ponder-Resumable": "1"}


class Stream:
    """What a client reads of a stream: whole events, as bytes, and the number of the last one with an id."""

    def __init__(self, server, method, path, body=None, headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.connection.request(method, path, json.dumps(body) if body else None, headers or {})
        self.reply = self.connection.getresponse()
        self.id = self.reply.headers["X-Ponder-Id"]
        self.bytes, self.last, self.events = b"", 0, 0

    def next(self):
        """Reads an event; False at the end of what there is."""
        event = b""
        while not event.endswith(b"\n\n"):
            try:
                line = self.reply.readline()
            except (OSError, http.client.HTTPException):
                return False
            if not line:
                return False
            event += line
            if event == b": keep-alive\n\n":
                event = b""
        self.bytes += event
        self.events += 1
        found = re.match(rb"id: [0-9a-f]{24}-(\d+)\n", event)
        if found:
            assert int(found[1]) == self.last + 1, event
            self.last += 1
        return True

    def all(self):
        while self.next():
            pass
        self.connection.close()
        return self.bytes


def rest_of(server, stream):
    headers = {"Last-Event-ID": f"{stream.id}-{stream.last}"} if stream.last else {}
    rest = Stream(server, "GET", f"/v1/streams/{stream.id}", headers=headers)
    assert rest.reply.status == 200, rest.reply.read()
    rest.last = stream.last
    return rest


def plain(data, answer):
    """Without what tells one answer from another of the same request: its id and its moment."""
    return re.sub(rb'"created(_at)?":\d+', b'"created":0', data.replace(answer.encode(), b"ID"))


def check_files(folder):
    """Every unit of the prefix cache is whole; what was being written when the server died has another name."""
    count = 0
    for path in folder.iterdir():
        if path.suffix == ".tmp":
            continue
        head, data = path.read_bytes().split(b"\n", 1)
        _, name, size, digest = head.decode().rsplit(" ", 3)
        assert name == path.stem and int(size) == len(data) and hashlib.sha256(data).hexdigest() == digest, path
        count += 1
    return count


def killed_servers(folder, seed=20260127):
    flags = (SHIPPED, "--prefix-cache", folder / "prefixes", "--journal", folder / "journal", "--no-log", "--threads", "1")
    with Server(*flags) as server:  # so that all later ones find the same pages on disk
        for path, body in DIALECTS.items():
            Stream(server, "POST", path, body).all()
    assert check_files(folder / "prefixes") > 0
    unbroken = {}
    with Server(*flags) as server:
        for path, body in DIALECTS.items():
            stream = Stream(server, "POST", path, body, RESUMABLE)
            assert stream.reply.headers["X-Ponder-Resumable"] == "restart"
            unbroken[path] = (plain(stream.all(), stream.id), stream.last)
    choose = random.Random(seed)
    in_mid_answer = 0
    for number in range(KILLS):
        path, body = list(DIALECTS.items())[number % len(DIALECTS)]
        whole, last = unbroken[path]
        server = Server(*flags)
        stream = Stream(server, "POST", path, body, RESUMABLE)
        moment = choose.randrange(last)
        while stream.last < moment and stream.next():
            pass
        server.process.kill()
        stream.all()
        server.process.communicate()
        in_mid_answer += stream.last < last
        check_files(folder / "prefixes")
        with Server(*flags) as server:
            had_all = plain(stream.bytes, stream.id) == whole  # then nobody would ask for more
            rest = b"" if had_all else rest_of(server, stream).all()
            got = plain(stream.bytes + rest, stream.id)
            assert got == whole, (path, moment, stream.last, got[-2000:], whole[-2000:])
            again = Stream(server, "GET", f"/v1/streams/{stream.id}").all()
            assert again == stream.bytes + rest, (path, moment)
            status, errors = server.stop()
            assert status == 0, errors
    assert b'"cached_tokens":64' in unbroken["/v1/chat/completions"][0], "prompts are found on disk"
    assert in_mid_answer >= KILLS * 0.4, f"only {in_mid_answer} of {KILLS} answers were broken"
    return in_mid_answer


def cut_connections(seed=7):
    """The server stays; the client goes at random moments, and comes back again and again."""
    choose = random.Random(seed)
    with Server(SHIPPED, "--no-log", "--resumable", "--threads", "1") as server:
        for path, body in DIALECTS.items():
            Stream(server, "POST", path, body).all()  # from here on the prompt is known
            unbroken = Stream(server, "POST", path, body)
            whole = plain(unbroken.all(), unbroken.id)
            stream = Stream(server, "POST", path, body)
            while all(stream.next() for _ in range(choose.randrange(1, 40))):
                stream.connection.close()
                rest = rest_of(server, stream)
                rest.bytes = stream.bytes
                stream = rest
            assert plain(stream.bytes, stream.id) == whole, path
        assert server.call("GET", "/v1/streams/0123456789abcdef01234567")[0] == 404


def keys_and_damage(folder):
    journal = folder / "journal2"
    flags = (SHIPPED, "--api-key", "first-key-1", "--api-key", "second-key-2", "--journal", journal)
    first, second = ({"Authorization": f"Bearer {key}"} for key in ("first-key-1", "second-key-2"))
    server = Server(*flags)
    stream = Stream(server, "POST", "/v1/chat/completions", CHAT, dict(first, **RESUMABLE))
    stream.next()
    server.process.kill()
    server.process.communicate()
    with Server(*flags) as server:
        path = f"/v1/streams/{stream.id}"
        assert server.call("GET", path, headers=second)[0] == 404
        assert server.call("GET", path)[0] == 401
        assert server.call("GET", path, headers=first)[0] == 200
        assert call("serve", "--journal", journal, "--port", "0").returncode == 1  # one server at a time
    entry = journal / f"{stream.id}.journal"
    if not entry.exists():  # its stream has ended
        entry.write_bytes(b"ponder-journal-1 nonsense")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 1
    entry.write_bytes(data)
    with Server(*flags) as server:
        assert server.call("GET", path, headers=first)[0] == 404
        status, log = server.stop()
        assert status == 0 and f'"journal":"{stream.id}: ' in log, log


def receipts(folder):
    store = folder / "receipts"
    with Server(SHIPPED, "--receipts", store, "--no-log", "--speculation", "lookup") as server:
        bodies = [dict(CHAT, stream=False, n=2), dict(CHAT, thinking_budget=7), dict(CHAT, stop=["7"], stream=False),
                  dict(CHAT, stream=False, ignore_eos=False, guided_regex="[0-9]{3}")]
        streams = [Stream(server, "POST", "/v1/chat/completions", body) for body in bodies]
        for stream in streams:
            stream.all()
        ids = [stream.id for stream in streams]
        shown = server.call("GET", f"/v1/receipts/chatcmpl-{ids[0]}")[2]
    for answer in ids:
        path = store / f"{answer}.json"
        assert path.stat().st_mode & 0o777 == 0o600
        for threads in (1, 2):
            done = call("replay", path, "--threads", threads)
            assert done.returncode == 0 and b"\nsame " in done.stdout, done
    assert shown == json.loads((store / f"{ids[0]}.json").read_text())
    assert done.stdout.decode().endswith(f"same {shown_tokens(path)} tokens\n")
    receipt = json.loads(path.read_text())
    changed = folder / "changed.json"
    receipt["prompts"][0]["sampling"]["seed"] += 1
    receipt["prompts"][0]["constraint"] = None
    changed.write_text(json.dumps(receipt))
    done = call("replay", changed, "--model", SHIPPED)
    assert done.returncode == 1 and re.search(rb"token \d+ of \d+ is .* not ", done.stderr), done
    receipt["model"]["digest"] = "0" * 64
    changed.write_text(json.dumps(receipt))
    done = call("replay", changed, "--model", SHIPPED)
    assert done.returncode == 1 and b"0" * 64 in done.stderr, done
    done = call("replay", changed)
    assert done.returncode == 1 and b"--model" in done.stderr, done
    for text in ("", "[]", "{}", path.read_text()[:-9]):
        changed.write_text(text)
        done = call("replay", changed)
        assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"changed.json" in done.stderr, done


def shown_tokens(path):
    return json.loads(path.read_text())["prompts"][0]["answers"][0]["tokens"]


def main():
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        receipts(folder)
        cut_connections()
        keys_and_damage(folder)
        broken = killed_servers(folder)
        shutil.rmtree(folder / "prefixes")
    print(f"{broken} of {KILLS} killed answers were in the middle; all streams went on to the same bytes; "
          f"{time.monotonic() - begun:.0f} s")


main()
