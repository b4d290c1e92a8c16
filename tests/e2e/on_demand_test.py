#!/usr/bin/env python3
"""`ponder serve` without models: the store, pulled into, made and emptied over HTTP, its models loaded when somebody asks."""

import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import tempfile
import threading
import time
import unittest

import harness
from harness import call
from hub_servers import Registry, digest_of
from serving import SHIPPED, Server

QUESTION = [{"role": "user", "content": "37+8*3-5*7=?"}]
ADMIN, USER, PART = "admin-secret-key", "user-secret-key", "part-secret-key"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


class OnDemandTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-on-demand-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.gguf = SHIPPED
        cls.weights = SHIPPED.read_bytes()
        cls.big = random.Random(3).randbytes(3_000_000)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(dir=self.tmp))
        self.store = self.home / "models"
        self.environment = {"PONDER_MODELS": str(self.store), "HOME": str(self.home), "HF_HOME": "", "HF_HUB_CACHE": "",
                            "PONDER_HOST": "", "OLLAMA_HOST": "", "PONDER_REGISTRY": "", "no_proxy": "127.0.0.1"}
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            status, errors = server.stop()
            self.assertEqual(status, 0, errors)

    def serve(self, *arguments, **environment):
        server = Server(*arguments, environment=dict(self.environment, **environment))
        self.servers.append(server)
        return server

    def ponder(self, *arguments, stdin="", **environment):
        done = call(*arguments, stdin=stdin, environment=dict(self.environment, **environment))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def create(self, name, more=""):
        self.ponder("create", name, "-f", "-", stdin=f"FROM {self.gguf}\n{more}")

    def registry(self):
        made = Registry()
        self.addCleanup(made.close)
        made.add("library/tiny:1b", [("model", self.weights), ("license", self.big),
                                     ("params", b'{"temperature":0,"num_predict":6}')])
        return made

    def ask(self, server, path, body, status=200, headers=None):
        got, _, reply = server.call("POST", path, body, headers)
        self.assertEqual(got, status, reply)
        return reply

    def generate(self, server, model, status=200, **more):
        return self.ask(server, "/api/chat", dict({"model": model, "messages": QUESTION, "stream": False}, **more), status)

    def loaded(self, server):
        return [m["name"] for m in server.call("GET", "/api/ps")[2]["models"]]

    def wait_for(self, condition):
        end = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.02)

    def loads(self, server):
        """How many models a server that has ended has loaded."""
        self.assertEqual(server.stop()[0], 0)
        return sum(line.startswith("model ") for line in "".join(server.said).splitlines())

    def test_pull_chat_unload(self):
        registry = self.registry()
        server = self.serve(PONDER_REGISTRY=registry.url)
        self.assertIn("try pulling it first", self.generate(server, "tiny:1b", 404)["error"])
        status, headers, text = server.call("POST", "/api/pull", {"model": "tiny:1b", "insecure": True})
        steps = lines(text)
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
        self.assertEqual(steps[0], {"status": "pulling manifest"})
        self.assertEqual([step for step in steps if step["status"] == "success"], [steps[-1]])
        ends = [s for s in steps if s.get("digest") == digest_of(self.big) and s["completed"] == s["total"]]
        self.assertTrue(ends and ends[-1]["total"] == len(self.big), steps)
        self.assertEqual(self.ask(server, "/api/pull", {"model": "tiny:1b", "insecure": True, "stream": False}),
                         {"status": "success"})
        tags = server.call("GET", "/api/tags")[2]["models"]
        self.assertEqual([(m["name"], m["details"]["family"]) for m in tags], [("tiny:1b", "llama")])
        self.assertEqual(self.loaded(server), [])

        said = self.generate(server, "TINY:1b")
        self.assertEqual((said["model"], said["eval_count"] <= 6), ("TINY:1b", True), "PARAMETER num_predict")
        chat = {"model": "tiny:1b", "messages": QUESTION}
        openai = self.ask(server, "/v1/chat/completions", chat)["choices"][0]["message"]
        self.assertEqual(openai["content"], said["message"]["content"], "PARAMETER temperature 0")
        self.assertEqual(openai.get("reasoning_content") or "", said["message"].get("thinking", ""))
        anthropic = self.ask(server, "/v1/messages", dict(chat, max_tokens=6))["content"]
        self.assertEqual("".join(b.get("text", "") for b in anthropic), said["message"]["content"])
        self.assertEqual(server.call("GET", "/v1/models/tiny:1b")[2]["id"], "tiny:1b")
        self.assertEqual(self.ask(server, "/chat/completions", {"model": "deepseek-reasoner", "messages": QUESTION})["model"],
                         "deepseek-reasoner")
        ps = server.call("GET", "/api/ps")[2]["models"]
        self.assertEqual([(m["name"], m["digest"]) for m in ps], [("tiny:1b", tags[0]["digest"])])
        self.assertGreater(ps[0]["size"], 0)
        table = self.ponder("ps", "--host", server.url)
        self.assertIn("tiny:1b", table)
        self.assertIn("minutes", table.splitlines()[1], "five of them")
        self.assertEqual(self.ask(server, "/api/generate", {"model": "tiny:1b", "keep_alive": 0})["done_reason"], "unload")
        self.wait_for(lambda: self.loaded(server) == [])
        self.assertEqual(self.ask(server, "/api/generate", {"model": "tiny:1b", "keep_alive": -1})["done_reason"], "load")
        self.assertIn("Forever", self.ponder("ps", "--host", server.url))
        self.ponder("stop", "tiny:1b", "--host", server.url)
        self.wait_for(lambda: self.loaded(server) == [])

    def test_killed_pull_goes_on(self):
        registry = self.registry()
        server = self.serve(PONDER_REGISTRY=registry.url)
        half = len(self.big) // 2
        registry.faults[f"/v2/library/tiny/blobs/{digest_of(self.big)}"] = [("hang", half)]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/api/pull", json.dumps({"model": "tiny:1b", "insecure": True}))
        part = self.store / ".ponder/parts" / digest_of(self.big).replace(":", "-")
        self.wait_for(lambda: part.exists() and part.stat().st_size >= half)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.communicate()
        self.servers.clear()
        connection.close()
        registry.log.clear()
        again = self.serve(PONDER_REGISTRY=registry.url)
        self.assertEqual(again.call("GET", "/v1/models")[2]["data"][0]["id"], "reasoner", "nothing half-pulled is listed")
        self.ask(again, "/api/pull", {"model": "tiny:1b", "insecure": True, "stream": False})
        ranges = [row[2].get("Range") for row in registry.requests("GET", digest_of(self.big))]
        self.assertEqual(ranges, [f"bytes={half}-"])
        self.generate(again, "tiny:1b")
        self.ponder("list", "--verify")

    def test_who_leaves_a_pull_ends_it(self):
        registry = self.registry()
        server = self.serve(PONDER_REGISTRY=registry.url)
        registry.faults[f"/v2/library/tiny/blobs/{digest_of(self.big)}"] = [("hang", 1000)]
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/api/pull", json.dumps({"model": "tiny:1b", "insecure": True}))
        self.wait_for(lambda: registry.requests("GET", digest_of(self.big)))
        connection.close()
        done = self.ask(server, "/api/pull", {"model": "tiny:1b", "insecure": True, "stream": False})
        self.assertEqual(done, {"status": "success"})

    def test_errors_of_the_store(self):
        registry = self.registry()
        server = self.serve(PONDER_REGISTRY=registry.url)
        self.assertIn("no such model", self.ask(server, "/api/pull", {"model": "absent", "insecure": True, "stream": False},
                                                404)["error"])
        last = lines(server.call("POST", "/api/pull", {"model": "absent", "insecure": True})[2])[-1]
        self.assertIn("no such model", last["error"])
        self.assertIn("not a model's name", self.ask(server, "/api/pull", {"model": "../x"}, 400)["error"])
        self.ask(server, "/api/copy", {"source": "absent", "destination": "x"}, 404)
        self.assertEqual(server.call("DELETE", "/api/delete", {"model": "absent"})[0], 404)
        self.assertIn("upload", self.ask(server, "/api/create", {"model": "x", "from": str(self.gguf)}, 400)["error"])
        for path in (str(self.gguf), "./tiny.gguf", "../models/zero.gguf", "/etc/passwd"):
            self.generate(server, path, 404)

    def test_create_copy_delete_push(self):
        registry = self.registry()
        server = self.serve(PONDER_REGISTRY=registry.url)
        digest = digest_of(self.weights)
        self.assertEqual(server.call("HEAD", f"/api/blobs/{digest}")[0], 404)
        self.assertEqual(server.call("POST", f"/api/blobs/{digest_of(self.big)}", self.weights)[0], 400)
        self.assertEqual(server.call("POST", f"/api/blobs/{digest}", self.weights)[0], 201)
        self.assertEqual(server.call("HEAD", f"/api/blobs/{digest}")[0], 200)
        steps = lines(server.call("POST", "/api/create", {"model": "mine", "files": {"tiny.gguf": digest},
                                                          "parameters": {"temperature": 0, "num_predict": 3}})[2])
        self.assertEqual(steps[-1], {"status": "success"}, steps)
        self.assertLessEqual(self.generate(server, "mine")["eval_count"], 3)
        self.assertEqual(self.ask(server, "/api/copy", {"source": "mine", "destination": "me/other:v1"}), "")
        self.assertEqual(self.generate(server, "me/other:v1")["message"], self.generate(server, "mine")["message"])
        self.assertEqual(len(self.loaded(server)), 1, "two names of one model")
        self.assertIn("num_predict", self.ask(server, "/api/show", {"model": "me/other:v1"})["parameters"])
        pushed = lines(server.call("POST", "/api/push", {"model": "me/other:v1", "insecure": True})[2])
        self.assertEqual(pushed[-1], {"status": "success"}, pushed)
        self.assertEqual(registry.blobs[digest], self.weights)
        self.assertIn("me/other:v1", registry.manifests)
        self.assertEqual(server.call("DELETE", "/api/delete", {"model": "mine"})[0], 200)
        self.generate(server, "mine", 404)
        self.generate(server, "me/other:v1")
        self.assertEqual(server.call("DELETE", "/api/delete", {"model": "me/other:v1"})[0], 200)
        self.wait_for(lambda: self.loaded(server) == [])
        self.assertEqual(list((self.store / "blobs").iterdir()), [])

    def test_modelfile_applies(self):
        self.create("plain", "PARAMETER temperature 1\n")
        self.create("seeded", "PARAMETER temperature 1\nPARAMETER seed 5\nPARAMETER num_predict 4\nPARAMETER num_ctx 64\n")
        self.create("shaped", 'PARAMETER temperature 0\nTEMPLATE """{% for m in messages %}{{ m.content }}{% endfor %}"""\n')
        self.create("primed", 'PARAMETER temperature 0\nSYSTEM """37+"""\n'
                              'TEMPLATE """{% for m in messages %}{{ m.content }}{% endfor %}"""\n')
        server = self.serve()
        first, second = (self.generate(server, "seeded") for _ in range(2))
        self.assertEqual((first["message"], first["seed"]), (second["message"], 5))
        self.assertLessEqual(first["eval_count"], 4)
        self.assertEqual(self.generate(server, "seeded", options={"seed": 9})["seed"], 9)
        shown = {m["name"]: m for m in server.call("GET", "/api/ps")[2]["models"]}
        self.assertEqual(shown["seeded:latest"]["context_length"], 64)
        chat = {"model": "seeded", "messages": QUESTION}
        self.assertEqual(self.ask(server, "/v1/chat/completions", chat)["seed"], 5, "in every dialect")
        limit = {"options": {"num_predict": 6}}
        whole = self.generate(server, "shaped", **limit)
        primed = self.generate(server, "primed", messages=[{"role": "user", "content": "8*3-5*7=?"}], **limit)
        self.assertEqual(primed["message"], whole["message"], "SYSTEM and a TEMPLATE in Jinja")
        self.assertEqual(primed["prompt_eval_count"], whole["prompt_eval_count"])
        own = [{"role": "system", "content": "37+"}, {"role": "user", "content": "8*3-5*7=?"}]
        self.assertEqual(self.generate(server, "primed", messages=own, **limit)["message"], whole["message"])
        self.assertGreater(self.generate(server, "plain", options={"num_predict": 1})["seed"], 9)

    def test_contexts(self):
        self.create("tiny")
        server = self.serve(OLLAMA_CONTEXT_LENGTH="32")
        long = [{"role": "user", "content": "3+4*" * 12 + "2=?"}]
        self.assertIn("32", self.generate(server, "tiny", 400, messages=long)["error"])
        done = self.generate(server, "tiny", messages=long, options={"num_ctx": 100, "num_predict": 2})
        self.assertNotIn("warnings", done)
        cut = self.generate(server, "tiny", options={"num_ctx": 20, "temperature": 1})
        self.assertLessEqual(cut["prompt_eval_count"] + cut["eval_count"], 20)
        self.assertIn("256", self.generate(server, "tiny", options={"num_ctx": 4096, "num_predict": 1})["warnings"][0])

    def test_memory(self):
        for name in "abc":
            self.create(name, f"PARAMETER num_predict 2\nSYSTEM {name}\n")
        server = self.serve("--max-models", "2")
        for name in ("a", "b", "a", "c"):
            self.ask(server, "/api/generate", {"model": name})
        self.assertEqual(sorted(self.loaded(server)), ["a:latest", "c:latest"])
        small = self.serve("--ram", "60KB")
        error = self.ask(small, "/api/generate", {"model": "a"}, 503)["error"]
        for word in ("a:latest needs", "weights", "60 KB"):
            self.assertIn(word, error)
        chat = {"model": "a", "messages": QUESTION}
        self.assertIn("60 KB", self.ask(small, "/v1/chat/completions", chat, 503)["error"]["message"])
        one = json.loads(self.ponder("plan", "a", "--json"))
        room = int(1.5 * (one["weight_bytes"] + one["workspace_bytes"] + 12 * one["kv_page_bytes"]))
        tight = self.serve("--ram", str(room), "--max-batch", "1")
        for name in "abc":
            self.ask(tight, "/api/generate", {"model": name})
            self.assertEqual(self.loaded(tight), [f"{name}:latest"])

    def test_many_ask_at_once(self):
        self.create("tiny", "PARAMETER num_predict 3\nPARAMETER temperature 0\n")
        self.create("other", "PARAMETER num_predict 3\nPARAMETER temperature 0\nSYSTEM x\n")
        def all_at_once(server, names):
            answers = []
            threads = [threading.Thread(target=lambda n=name: answers.append(self.generate(server, n)))
                       for name in names]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual([answer["done"] for answer in answers], [True] * len(names))

        server = self.serve()
        all_at_once(server, ["tiny"] * 8)
        self.servers.remove(server)
        self.assertEqual(self.loads(server), 1, "they share one load")
        all_at_once(self.serve("--max-models", "1"), ["tiny", "other"] * 4)

    def test_keep_alive_variable(self):
        self.create("tiny", "PARAMETER num_predict 2\n")
        server = self.serve(OLLAMA_KEEP_ALIVE="0")
        self.generate(server, "tiny")
        self.wait_for(lambda: self.loaded(server) == [])
        self.generate(server, "tiny", keep_alive="10m")
        self.assertEqual(self.loaded(server), ["tiny:latest"])
        done = call("serve", environment=dict(self.environment, OLLAMA_KEEP_ALIVE="soon"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("soon", done.stderr.decode())

    def test_names(self):
        name = "hf.co/deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
        self.create(name, "PARAMETER num_predict 2\n")
        short = "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
        server = self.serve()
        for asked in (short, name, name + ":latest", short.lower()):
            reply = self.ask(server, "/v1/chat/completions", {"model": asked, "messages": QUESTION})
            self.assertEqual(reply["model"], asked)
        pinned = self.serve(short, "--tensor-parallel-size", "2", "--max-model-len", "100", "--enforce-eager")
        self.assertEqual([m["id"] for m in pinned.call("GET", "/v1/models")[2]["data"]], [short])
        for asked in (short, "DeepSeek-R1-Distill-Qwen-32B"):
            self.ask(pinned, "/v1/chat/completions", {"model": asked, "messages": QUESTION})
        self.assertIn("no store", self.ask(pinned, "/api/pull", {"model": "x"}, 503)["error"])
        self.assertEqual(self.ask(pinned, "/api/generate", {"model": short, "keep_alive": 0})["done_reason"], "unload")
        self.assertEqual(self.loaded(pinned), [short + ":latest"], "it was given and stays")

    def test_a_new_model_of_the_same_name(self):
        self.create("tiny", "PARAMETER num_predict 2\n")
        server = self.serve()
        self.assertLessEqual(self.generate(server, "tiny", options={"temperature": 0})["eval_count"], 2)
        self.create("tiny", "PARAMETER num_predict 1\n")
        self.assertEqual(self.generate(server, "tiny")["eval_count"], 1)
        self.wait_for(lambda: len(self.loaded(server)) == 1)

    def test_keys(self):
        self.create("tiny", "PARAMETER num_predict 2\n")
        self.create("other")
        keys = self.home / "keys"
        rows = [(ADMIN, "boss scope=manage"), (USER, "user models=tiny"), (PART, "part scope=manage models=tiny")]
        keys.write_text("".join(f"{digest_of(key.encode())[7:]} {rest}\n" for key, rest in rows))
        server = self.serve("--api-keys", keys)
        admin, user, part = ({"Authorization": f"Bearer {key}"} for key in (ADMIN, USER, PART))
        for path in ("/api/pull", "/api/push", "/api/create", "/api/copy"):
            self.ask(server, path, {"model": "x"}, 401)
            self.ask(server, path, {"model": "x"}, 403, user)
        self.assertEqual(server.call("DELETE", "/api/delete", {"model": "tiny"}, user)[0], 403)
        self.ask(server, "/api/generate", {"model": "tiny", "keep_alive": 0}, 403, user)
        self.ask(server, "/api/copy", {"source": "absent", "destination": "x"}, 404, admin)
        # Who may manage some models may not reach others through them.
        self.ask(server, "/api/copy", {"source": "other", "destination": "tiny"}, 404, part)
        self.ask(server, "/api/copy", {"source": "tiny", "destination": "other"}, 404, part)
        self.ask(server, "/api/create", {"model": "tiny", "from": "other"}, 404, part)
        self.ask(server, "/api/push", {"model": "other"}, 404, part)
        self.ask(server, "/api/pull", {"model": "other"}, 404, part)
        self.assertEqual(server.call("DELETE", "/api/delete", {"model": "other"}, part)[0], 404)
        chat = {"messages": QUESTION, "stream": False}
        for name in ("tiny", "tiny:latest", "TINY"):
            self.ask(server, "/api/chat", dict(chat, model=name), 200, user)
        for path in ("/api/chat", "/v1/chat/completions"):
            self.ask(server, path, dict(chat, model="other"), 404, user)
        self.assertEqual([m["name"] for m in server.call("GET", "/api/tags", headers=user)[2]["models"]], ["tiny:latest"])
        self.ask(server, "/api/generate", {"model": "tiny", "keep_alive": 0}, 200, admin)


if __name__ == "__main__":
    harness.require_program()
    unittest.main()
