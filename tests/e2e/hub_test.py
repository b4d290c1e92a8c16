#!/usr/bin/env python3
"""The store and the verbs on it: list, cp, rm, create, pull, push, ps, stop, plan; and models by name wherever one is accepted.

Every server is one of ours on loopback, with cut connections, wrong bytes, stalls and refusals on demand.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types
import unittest

import harness
from harness import PONDER, call
from hub_servers import Hub, Loaded, Registry, Storage, digest_of


class HubTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="ponder-hub-")
        cls.tmp = pathlib.Path(cls.folder.name)
        cls.hf_model = harness.train_tiny(cls.tmp) / "model"
        cls.gguf = cls.tmp / "tiny.gguf"
        done = call("convert", cls.hf_model, cls.gguf)
        if done.returncode != 0:
            raise AssertionError(done.stderr.decode())
        cls.weights = cls.gguf.read_bytes()
        cls.hash = json.loads(harness.good("show", cls.gguf, "--json"))["weights_hash"]
        cls.big = random.Random(3).randbytes(3_000_000)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp(dir=self.tmp))
        self.store = self.home / "models"
        self.environment = {"PONDER_MODELS": str(self.store), "HOME": str(self.home), "HF_ENDPOINT": "", "HF_TOKEN": "",
                            "HF_HOME": "", "HF_HUB_CACHE": "", "OLLAMA_MODELS": "", "OLLAMA_HOST": "", "PONDER_HOST": "",
                            "PONDER_REGISTRY": "", "SSL_CERT_FILE": "", "no_proxy": "127.0.0.1"}

    def server(self, kind, *arguments):
        made = kind(*arguments)
        self.addCleanup(made.close)
        return made

    def call(self, *arguments, **keywords):
        environment = dict(self.environment, **keywords.pop("environment", {}))
        return call(*arguments, environment=environment, **keywords)

    def good(self, *arguments, **keywords):
        done = self.call(*arguments, **keywords)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def refused(self, *arguments, named=(), status=1, **keywords):
        done = self.call(*arguments, **keywords)
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, status, done.stderr.decode())
        for word in named:
            self.assertIn(str(word), lines[-1])
        return done

    def names(self):
        return sorted(m["name"] for m in json.loads(self.good("list", "--json"))["models"])

    def create(self, name, text=None, *options):
        return self.good("create", name, "-f", "-", *options, stdin=text or f"FROM {self.gguf}\n")

    def blobs(self):
        folder = self.store / "blobs"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def whole(self):
        """Every listed model's bytes are right."""
        return self.good("list", "--verify")

    def start(self, *arguments):
        return subprocess.Popen([PONDER, *map(str, arguments)], env=dict(os.environ, **self.environment),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_for(self, condition, process=None):
        end = time.monotonic() + 60
        while not condition():
            self.assertTrue(process is None or process.poll() is None, "the process ended early")
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.005)

    # The store.

    def test_empty(self):
        self.assertEqual(self.good("list").split(), ["NAME", "ID", "SIZE", "MODIFIED"])
        self.assertEqual(self.names(), [])
        self.assertFalse(self.store.exists(), "listing writes nothing")
        self.refused("rm", "nothing", named=["nothing:latest", "no such model"])
        self.refused("cp", "nothing", "other", named=["nothing:latest"])
        self.refused("rm", status=1, named=["--prune"])

    def test_create_list_cp_rm(self):
        self.create("tiny:a", f'FROM {self.gguf}\nPARAMETER temperature 0.5\nPARAMETER stop "<x>"\nSYSTEM """Be\nbrief."""\n'
                              'TEMPLATE """{{ .Prompt }}"""\nLICENSE MIT\nMESSAGE user hi\nMESSAGE assistant ho\n')
        self.good("cp", "tiny:a", "me/other")
        self.assertEqual(self.names(), ["me/other:latest", "tiny:a"])
        listing = json.loads(self.good("list", "--json"))
        rows = {m["name"]: m for m in listing["models"]}
        self.assertEqual(rows["tiny:a"]["digest"], rows["me/other:latest"]["digest"])
        self.assertEqual(rows["tiny:a"]["details"]["family"], "llama")
        self.assertEqual(listing["bytes"], rows["tiny:a"]["size"], "shared bytes count once")
        self.assertEqual(listing["bytes"], sum((self.store / "blobs" / name).stat().st_size for name in self.blobs()))
        self.assertIn("tiny:a", self.good("ls", "tiny"))
        self.assertNotIn("other", self.good("ls", "tiny"))
        self.assertEqual(self.good("show", "TINY:A", "--system"), "Be\nbrief.\n")
        self.assertEqual(self.good("show", "tiny:a", "--template"), "{{ .Prompt }}\n")
        self.assertEqual(self.good("show", "tiny:a", "--parameters").split(), ["stop", "<x>", "temperature", "0.5"])
        self.assertIn("all bytes are right", self.call("list", "--verify").stderr.decode())
        self.good("rm", "tiny:a")
        self.assertEqual(self.names(), ["me/other:latest"])
        self.whole()
        self.assertIn("freed", self.good("rm", "me/other"))
        self.assertEqual(self.blobs(), [])

    def test_create_from_another(self):
        self.create("base", f"FROM {self.gguf}\nPARAMETER temperature 0.5\nPARAMETER top_k 7\nSYSTEM first\n")
        self.create("child", "FROM base\nPARAMETER temperature 0.9\n")
        self.assertEqual(self.good("show", "child", "--parameters").split(), ["temperature", "0.9", "top_k", "7"])
        self.assertEqual(self.good("show", "child", "--system"), "first\n")
        self.create("copy", self.good("show", "child", "--modelfile"))
        self.assertEqual(self.good("show", "copy", "--parameters"), self.good("show", "child", "--parameters"))
        self.assertEqual(sum(path.stat().st_size == len(self.weights) for path in (self.store / "blobs").iterdir()), 1)

    def test_create_from_a_folder(self):
        file = self.home / "Modelfile"
        shutil.copytree(self.hf_model, self.home / "repo")
        file.write_text("FROM ./repo\n")
        self.good("create", "folder", "-f", file)
        shutil.rmtree(self.home / "repo")
        self.assertEqual(json.loads(self.good("show", "folder", "--json"))["weights_hash"], self.hash)
        self.assertEqual(self.good("tokenize", "folder", stdin='"37+8"\n'), self.good("tokenize", self.gguf, stdin='"37+8"\n'))

    def test_create_quantized(self):
        self.create("small", f"FROM {self.hf_model}\n", "-q", "q8_0")
        row = json.loads(self.good("list", "--json"))["models"][0]
        self.assertEqual(row["details"]["quantization_level"], "Q8_0")
        self.assertLess(row["size"], len(self.weights))
        self.refused("create", "bad", "-f", "-", "-q", "q9_9", stdin=f"FROM {self.gguf}\n", named=["q9_9"])
        self.assertEqual(list((self.store / ".ponder" / "parts").iterdir()), [])

    def test_create_refuses(self):
        broken = self.home / "broken.gguf"
        broken.write_bytes(self.weights[:len(self.weights) // 2])
        text = self.home / "text.gguf"
        text.write_text("no model")
        for modelfile, *named in (
                ("", "FROM"), ("FROM ./nowhere.gguf\n", "nowhere.gguf"), ("FROM nowhere:1b\n", "ponder pull nowhere:1b"),
                (f"FROM {broken}\n", "broken.gguf"), (f"FROM {text}\n", "text.gguf"),
                (f"FROM {self.gguf}\nADAPTER x.gguf\n", "line 2, column 1", "ADAPTER"),
                (f"FROM {self.gguf}\nPARAMETER tempreture 1\n", "line 2, column 11", "temperature"),
                (f'FROM {self.gguf}\nSYSTEM """x\n', "line 2, column 8")):
            with self.subTest(modelfile):
                self.refused("create", "x", "-f", "-", stdin=modelfile, named=named)
                self.assertEqual(self.names(), [])
        self.refused("create", "../x", "-f", "-", stdin=f"FROM {self.gguf}\n", named=["../x"])
        self.refused("create", "x", "-f", self.home / "none", named=["none", "-f FILE"])

    def test_names_wherever_a_model_goes(self):
        self.create("tiny")
        self.assertEqual(json.loads(self.good("show", "tiny", "--json"))["weights_hash"], self.hash)
        ids = self.home / "ids.jsonl"
        ids.write_text("[5,6,7,8]\n")
        self.assertEqual(self.good("score", "tiny", "--ids", ids), self.good("score", self.gguf, "--ids", ids))
        ask = ("--json", "--seed", "1", "--max-tokens", "4")
        self.assertEqual(self.good("run", "tiny", "3+4*2=?", *ask), self.good("run", self.gguf, "3+4*2=?", *ask))
        self.assertEqual(json.loads(self.good("plan", "tiny", "--json"))["weight_bytes"],
                         json.loads(self.good("plan", self.gguf, "--json"))["weight_bytes"])
        self.good("convert", "tiny", self.home / "again.gguf")
        for verb in (("run", "absent:8b", "x"), ("show", "absent:8b"), ("score", "absent:8b", "--ids", ids),
                     ("tokenize", "absent:8b"), ("plan", "absent:8b")):
            self.refused(*verb, named=["absent:8b", "no such model", "ponder pull absent:8b"])
        self.refused("run", "tiny:8b", "x", named=["there is tiny:latest"])
        self.refused("run", "./absent", "x", named=["./absent", "no such file"])

    def test_ollama_folder_and_hugging_face_cache(self):
        self.create("theirs:1b")
        (self.home / ".ollama").mkdir()
        self.store.rename(self.home / ".ollama" / "models")
        shutil.rmtree(self.home / ".ollama" / "models" / ".ponder")
        before = harness.snapshot(self.home / ".ollama")
        self.assertEqual(json.loads(self.good("show", "theirs:1b", "--json"))["weights_hash"], self.hash)
        self.assertEqual(harness.snapshot(self.home / ".ollama"), before)
        cache = self.home / ".cache/huggingface/hub/models--deepseek-ai--R1-Tiny"
        (cache / "refs").mkdir(parents=True)
        (cache / "refs/main").write_text("abc123")
        (cache / "snapshots").mkdir()
        shutil.copytree(self.hf_model, cache / "snapshots/abc123")
        self.assertEqual(json.loads(self.good("show", "deepseek-ai/R1-Tiny", "--json"))["weights_hash"], self.hash)
        (cache / "refs/main").write_text("../../../../..")
        self.refused("show", "deepseek-ai/R1-Tiny", named=["ponder pull deepseek-ai/R1-Tiny"])

    # Registries.

    def registry(self, **members):
        made = self.server(Registry)
        for key, value in members.items():
            setattr(made, key, value)
        made.add("org/tiny:1b", [("model", self.weights), ("license", self.big), ("params", b'{"temperature":0.6}')])
        return made, f"{made.host}/org/tiny:1b"

    def pulled(self, name):
        self.assertEqual(json.loads(self.good("show", name, "--json"))["weights_hash"], self.hash)
        self.whole()
        self.assertEqual([p.name for p in (self.store / ".ponder/parts").iterdir()], [])

    def blob_path(self, data):
        return f"/v2/org/tiny/blobs/{digest_of(data)}"

    def test_pull(self):
        registry, name = self.registry()
        done = self.call("pull", name, "--insecure")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn("pulling manifest", done.stderr.decode())
        self.assertIn("success", done.stderr.decode().splitlines())
        self.pulled(name)
        stored = self.store / "manifests" / registry.host / "org/tiny/1b"
        self.assertEqual(stored.read_bytes(), registry.manifests["org/tiny:1b"])
        count = len(registry.requests("GET", "/blobs/"))
        steps = [json.loads(line) for line in self.good("pull", name, "--insecure", "--json").splitlines()]
        self.assertEqual(steps[-1], {"status": "success"})
        self.assertEqual(len(registry.requests("GET", "/blobs/")), count, "what is there is not sent again")

    def test_pull_replaces_and_says_so(self):
        registry, name = self.registry()
        self.good("pull", name, "--insecure")
        registry.add("org/tiny:1b", [("model", self.weights), ("license", b"new")], {"model_family": "qwen3"})
        done = self.call("pull", name, "--insecure")
        self.assertIn("was a llama model and is now a qwen3 model", done.stderr.decode())
        self.pulled(name)
        self.assertNotIn(digest_of(self.big).replace(":", "-"), self.blobs(), "what the old one alone had is gone")

    def test_plain_http_needs_leave(self):
        registry, name = self.registry()
        self.refused("pull", "http://" + name, named=["--insecure"])
        self.assertEqual(registry.log, [])

    def test_pull_through_faults(self):
        half = len(self.big) // 2
        for title, faults in (
                ("cut", [("cut", 1000), ("cut", half), ("cut", 0)]),
                ("busy", [("status", 503), ("status", 429)]),
                ("slow", [("slow", 200_000)]),
                ("no ranges", [("cut", half), ("norange", 0)]),
                ("resumed part is wrong", [("wrong", 100), ("cut", 10)])):
            with self.subTest(title):
                shutil.rmtree(self.store, ignore_errors=True)
                registry, name = self.registry()
                registry.faults[self.blob_path(self.big)] = list(faults)
                if title == "resumed part is wrong":  # the first answer breaks off with a wrong byte in it
                    registry.faults[self.blob_path(self.big)] = [("cut", half), ("", 0)]
                    self.interrupt(registry, name, half)
                    part = next((self.store / ".ponder/parts").iterdir())
                    damaged = bytearray(part.read_bytes())
                    damaged[10] ^= 1
                    part.write_bytes(damaged)
                self.good("pull", name, "--insecure")
                self.pulled(name)
                self.assertEqual(registry.faults[self.blob_path(self.big)], [])

    def interrupt(self, registry, name, at):
        """Kills a pull that has got `at` bytes of the big blob."""
        registry.faults[self.blob_path(self.big)] = [("hang", at)]
        process = self.start("pull", name, "--insecure")
        part = self.store / ".ponder/parts" / digest_of(self.big).replace(":", "-")
        self.wait_for(lambda: part.exists() and part.stat().st_size >= at, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def test_killed_pull_goes_on(self):
        registry, name = self.registry()
        half = len(self.big) // 2
        self.interrupt(registry, name, half)
        self.assertEqual(self.names(), [], "nothing half-pulled is listed")
        registry.log.clear()
        self.good("pull", name, "--insecure")
        ranges = [row[2].get("Range") for row in registry.requests("GET", digest_of(self.big))]
        self.assertEqual(ranges, [f"bytes={half}-"])
        self.pulled(name)

    def test_wrong_bytes_are_not_kept(self):
        for title, faults, *named in (("flipped", [("wrong", 5)] * 3, "not those that were announced"),
                                      ("too long", [("long", 0)] * 9, "expected"),
                                      ("another part", [("cut", 100), ("shifted", 0)], "another part"),
                                      ("gone", [("status", 404)], "404"),
                                      ("forbidden", [("status", 403)], "403")):
            with self.subTest(title):
                shutil.rmtree(self.store, ignore_errors=True)
                registry, name = self.registry()
                registry.faults[self.blob_path(self.big)] = faults
                self.refused("pull", name, "--insecure", named=[digest_of(self.big), *named])
                self.assertEqual(self.names(), [])
                self.assertNotIn(digest_of(self.big).replace(":", "-"), self.blobs())
                registry.faults.clear()
                self.good("pull", name, "--insecure")
                self.pulled(name)

    def test_registry_says_no(self):
        registry, name = self.registry()
        self.refused("pull", f"{registry.host}/org/tiny:2b", "--insecure", named=["tiny:2b", "no such model"])
        good = registry.manifests["org/tiny:1b"]
        for title, manifest, *named in (
                ("not JSON", b"<html>", "manifest"), ("too large", b" " * (5 << 20), "larger"),
                ("traversal", good.replace(digest_of(self.big).encode(), b"sha256:../../x"), "digest"),
                ("size", good.replace(b'"size": 3000000', b'"size": -1'), "size"),
                ("size of another", good.replace(b'"size": 3000000', b'"size": 2999999'), "expected 2999999"),
                ("no weights", good.replace(b"image.model", b"image.embed"), "no layer with a GGUF model"),
                ("projector", good.replace(b"image.license", b"image.projector"), "projector")):
            with self.subTest(title):
                registry.manifests["org/tiny:1b"] = manifest
                self.refused("pull", name, "--insecure", named=named)
                self.assertEqual(self.names(), [])
        for bad in ("a/b/c/d", f"{registry.host}/../x", f"{registry.host}/org/tiny:..", "x y", "@"):
            self.refused("pull", bad, "--insecure", named=["not a model's name"])

    def test_token(self):
        registry, name = self.registry(token="secret")
        self.good("pull", name, "--insecure")
        self.pulled(name)
        self.assertEqual(registry.asked["scope"], ["repository:x:pull", "repository:x:push"])
        self.assertEqual(len(registry.requests("GET", "/token")), 1)
        self.assertNotIn("Authorization", registry.requests("GET", "/token")[0][2])
        if shutil.which("ssh-keygen"):  # as Ollama makes its key
            key = self.home / ".ollama/id_ed25519"
            key.parent.mkdir()
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
            shutil.rmtree(self.store)
            self.good("pull", name, "--insecure")
            public = (self.home / ".ollama/id_ed25519.pub").read_text().split()[1]
            asked = registry.requests("GET", "/token")[1][2]["Authorization"]
            self.assertEqual(asked.split(":")[0], public)
        other = self.server(Registry)
        registry.realm = other.url + "/token"
        shutil.rmtree(self.store)
        self.refused("pull", name, "--insecure", named=["another host"])
        self.assertEqual(other.log, [])

    def test_redirect_takes_no_token_along(self):
        storage = self.server(Storage)
        registry, name = self.registry(token="secret", storage=storage)
        storage.files = dict(registry.blobs)
        storage.faults["/" + digest_of(self.big)] = [("cut", 5000)]
        self.good("pull", name, "--insecure")
        self.pulled(name)
        seen = storage.requests("GET", "")
        self.assertGreater(len(seen), 3)
        self.assertEqual([row for row in seen if "Authorization" in row[2]], [])
        shutil.rmtree(self.store)
        registry.storage = types.SimpleNamespace(url=registry.url + "/v2/org/tiny/blobs")  # to itself, for ever
        self.refused("pull", name, "--insecure", named=["redirect"])

    def test_two_pulls_at_a_time(self):
        registry, name = self.registry()
        registry.faults[self.blob_path(self.big)] = [("slow", 60_000)]
        first = self.start("pull", name, "--insecure")
        second = self.start("pull", name, "--insecure")
        for process in (first, second):
            error = process.communicate(timeout=60)[1]
            self.assertEqual(process.returncode, 0, error.decode())
        self.assertEqual(len(registry.requests("GET", digest_of(self.big))), 1, "one of them waited")
        self.pulled(name)

    def test_kills_at_random_moments(self):
        registry, name = self.registry()
        rng = random.Random(11)
        for _ in range(25):
            registry.faults[self.blob_path(self.big)] = [("slow", 100_000)]
            process = self.start(*rng.choice((("pull", name, "--insecure"), ("create", "made", "-f", self.modelfile()),
                                              ("rm", name), ("cp", name, "copied"))))
            time.sleep(rng.random() * 0.25)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.whole()
        registry.faults.clear()
        self.good("pull", name, "--insecure")
        self.create("made")
        self.whole()
        for left in self.names():
            self.good("rm", left)
        for path in (self.store / "blobs").iterdir():
            os.utime(path, (0, 0))
        self.good("rm", "--prune")
        self.assertEqual(self.blobs(), [])

    def modelfile(self):
        file = self.home / "Modelfile"
        file.write_text(f"FROM {self.gguf}\n")
        return file

    def test_rm_while_a_pull_runs(self):
        registry, name = self.registry()
        self.create("other")
        registry.faults[self.blob_path(self.big)] = [("hang", 1000)]
        process = self.start("pull", name, "--insecure")
        self.wait_for(lambda: registry.requests("GET", digest_of(self.big)), process)
        done = self.call("rm", "other")
        self.assertEqual(done.returncode, 0)
        self.assertIn("another process", done.stderr.decode())
        self.assertNotEqual(self.blobs(), [], "the pull counts on blobs that are there")
        process.kill()
        process.communicate()

    def test_no_room(self):
        registry, name = self.registry()
        text = registry.manifests["org/tiny:1b"].replace(b'"size": 3000000', b'"size": 17000000000000')
        registry.manifests["org/tiny:1b"] = text
        self.refused("pull", name, "--insecure", named=["free", "PONDER_MODELS"])

    def test_push(self):
        registry = self.server(Registry)
        registry.token = "secret"
        self.create("mine", f"FROM {self.gguf}\nLICENSE {'x' * 1000}\n")
        self.refused("push", "mine", named=["ponder cp mine:latest ACCOUNT/mine"])
        name = f"{registry.host}/me/mine:1"
        self.good("cp", "mine", name)
        registry.faults["PATCH"] = [("cut", 700)]
        self.good("push", name, "--insecure")
        self.assertIn(self.weights, registry.blobs.values())
        count = len(registry.requests("PATCH", ""))
        self.good("push", name, "--insecure")
        self.assertEqual(len(registry.requests("PATCH", "")), count, "what is there is not sent again")
        manifest = registry.manifests["me/mine:1"]
        shutil.rmtree(self.store)
        self.good("pull", name, "--insecure")
        self.assertEqual((self.store / "manifests" / registry.host / "me/mine/1").read_bytes(), manifest)
        self.refused("push", "hf.co/a/b", named=["hf.co"])
        self.refused("push", f"{registry.host}/me/absent", "--insecure", named=["absent"])

    def test_tls(self):
        key = self.home / "server.pem"
        made = subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key),
                               "-out", str(self.home / "ca.pem"), "-subj", "/CN=127.0.0.1", "-addext",
                               "subjectAltName=IP:127.0.0.1"], capture_output=True) if shutil.which("openssl") else None
        if made is None or made.returncode != 0:
            self.skipTest("no openssl to make a certificate with")
        key.write_text(key.read_text() + (self.home / "ca.pem").read_text())
        registry = Registry(str(key))
        self.addCleanup(registry.close)
        registry.add("org/tiny:1b", [("model", self.weights)])
        name = f"{registry.host}/org/tiny:1b"
        for options in ((), ("--insecure",)):
            self.refused("pull", "https://" + name, *options, named=["certificate"])
        self.good("pull", name, environment={"SSL_CERT_FILE": str(self.home / "ca.pem")})
        self.pulled(name)

    # Hugging Face.

    def hub(self):
        storage = self.server(Storage)
        hub = self.server(Hub, storage)
        files = {p.name: p.read_bytes() for p in self.hf_model.iterdir()}
        hub.repositories["org/Tiny"] = dict(files, **{"README.md": b"text", ".gitattributes": b"x", "original/model.safetensors": b"y"})
        hub.repositories["org/Tiny-GGUF"] = {"README.md": b"text", "Tiny-Q4_K_M.gguf": self.weights, "Tiny-Q8_0.gguf": b"GGUF",
                                             "mmproj-Q4_K_M.gguf": b"GGUF"}
        self.environment["HF_ENDPOINT"] = hub.url
        return hub, storage

    def test_hugging_face_folder(self):
        hub, storage = self.hub()
        hub.token = "hf_secret"
        self.refused("pull", "hf.co/org/Tiny", "--insecure", named=["needs a login", "HF_TOKEN"])
        self.environment["HF_TOKEN"] = "hf_secret"
        weights = digest_of((self.hf_model / "model.safetensors").read_bytes())
        storage.faults["/" + weights] = [("cut", 5000)]
        self.good("pull", "hf.co/org/Tiny", "--insecure")
        self.assertEqual(self.names(), ["hf.co/org/Tiny:latest"])
        self.assertEqual([row for row in storage.log if "Authorization" in row[2]], [])
        self.assertEqual(hub.requests("GET", "README"), [])
        for name in ("hf.co/org/Tiny", "org/Tiny"):
            self.assertEqual(json.loads(self.good("show", name, "--json"))["weights_hash"], self.hash)
        self.good("run", "org/Tiny", "3+4*2=?", "--max-tokens", "2", "--json")
        self.create("child", "FROM org/Tiny\nPARAMETER top_k 3\n")
        self.good("cp", "org/Tiny", "again")
        self.good("rm", "org/Tiny", "again")
        self.assertEqual(self.names(), ["child:latest"])
        self.assertEqual(json.loads(self.good("show", "child", "--json"))["weights_hash"], self.hash)
        hub.faults[f"/org/Tiny/resolve/{hub.COMMIT}/config.json"] = [("wrong", 3)] * 3
        shutil.rmtree(self.store)
        self.refused("pull", "hf.co/org/Tiny", "--insecure", named=["config.json", "not those that were announced"])
        self.assertEqual(self.names(), [])

    def test_hugging_face_gguf(self):
        self.hub()
        self.good("pull", "hf.co/org/Tiny-GGUF:q4_k_m", "--insecure")
        self.pulled("hf.co/org/Tiny-GGUF:Q4_K_M")
        self.good("pull", "hf.co/org/Tiny-GGUF", "--insecure")
        self.pulled("org/Tiny-GGUF")
        self.refused("pull", "hf.co/org/Tiny-GGUF:Q2_K", "--insecure", named=["Q2_K", "Tiny-Q8_0"])
        self.refused("pull", "hf.co/org/Tiny-GGUF:Q8_0", "--insecure", named=["Tiny-GGUF:Q8_0", "the file ends"])
        self.refused("pull", "hf.co/org/Absent", "--insecure", named=["no such repository"])
        self.assertEqual(len(self.names()), 2)

    def test_a_name_without_a_host(self):
        hub, _ = self.hub()
        registry, _ = self.registry()
        self.environment["PONDER_REGISTRY"] = registry.url
        done = self.call("pull", "org/Tiny", "--insecure")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertIn("asking hf.co", done.stderr.decode())
        self.good("pull", "org/tiny:1b", "--insecure")
        self.assertEqual(self.names(), ["hf.co/org/Tiny:latest", "org/tiny:1b"])
        self.refused("pull", "absent", "--insecure", named=["absent:latest", "no such model"])

    # URLs.

    def test_url(self):
        storage = self.server(Storage)
        storage.files["files/My Tiny.gguf"] = storage.files["files/My%20Tiny.gguf"] = self.weights
        url = storage.url + "/files/My%20Tiny.gguf"
        self.refused("pull", url, named=["--sha256", "--insecure"])
        storage.faults["/files/My%20Tiny.gguf"] = [("cut", len(self.weights) // 2)]
        self.good("pull", url, "--insecure")
        self.pulled("My_20Tiny")
        self.assertIn(f"bytes={len(self.weights) // 2}-", [row[2].get("Range") for row in storage.log])
        self.good("pull", url, "named:1", "--sha256", digest_of(self.weights)[7:])
        self.pulled("named:1")
        self.refused("pull", url, "x", "--sha256", "0" * 64, named=["not those that were announced"])
        storage.files["page.gguf"] = b"<html>not found</html>"
        self.refused("pull", storage.url + "/page.gguf", "--insecure", named=["is no GGUF file"])
        self.refused("pull", storage.url + "/none.gguf", "--insecure", named=["404"])
        self.assertEqual(self.names(), ["My_20Tiny:latest", "named:1"])

    def test_url_that_changes(self):
        """A part of what the file was before is not joined to what it is now."""
        storage = self.server(Storage)
        storage.files["a.gguf"] = b"GGUF" + bytes(len(self.weights))
        storage.faults["/a.gguf"] = [("hang", 50_000)]
        process = self.start("pull", storage.url + "/a.gguf", "--insecure")
        parts = self.store / ".ponder/parts"
        self.wait_for(lambda: parts.exists() and any(p.stat().st_size >= 50_000 for p in parts.iterdir()), process)
        process.kill()
        process.communicate()
        storage.files["a.gguf"] = self.weights
        self.good("pull", storage.url + "/a.gguf", "--insecure")
        self.pulled("a")

    # A running server.

    def test_ps_and_stop(self):
        server = self.server(Loaded, [
            {"name": "tiny:latest", "digest": "ab" * 32, "size": 5_200_000_000, "size_vram": 0, "context_length": 8192,
             "expires_at": "2999-01-01T00:00:00.5+01:00"}])
        shown = self.good("ps", "--host", server.host).splitlines()
        self.assertEqual(shown[0].split(), ["NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"])
        self.assertEqual(shown[1].split(), ["tiny:latest", "abababababab", "5.2", "GB", "100%", "CPU", "8192", "Forever"])
        self.assertEqual(json.loads(self.good("ps", "--json", environment={"OLLAMA_HOST": server.url}))["models"], server.models)
        self.good("stop", "tiny:latest", environment={"OLLAMA_HOST": f"0.0.0.0:{server.port}"})
        self.assertEqual(server.stopped, [{"model": "tiny:latest", "keep_alive": 0, "stream": False}])
        self.refused("stop", "absent", "--host", server.host, named=["model 'absent' not found"])
        server.close()
        self.refused("ps", "--host", server.host, named=["ponder serve"])

    # Plans.

    def test_plan(self):
        plan = json.loads(self.good("plan", self.gguf, "--ram", "1GB", "--ctx", "100", "--users", "3", "--json"))
        self.assertEqual(plan["ram_bytes"], 10**9)
        page = plan["kv_page_bytes"]
        config = json.loads((self.hf_model / "config.json").read_text())
        heads = config["num_key_value_heads"] * (config["hidden_size"] // config["num_attention_heads"])
        self.assertEqual(page, 64 * config["num_hidden_layers"] * heads * 2 * 2, "keys and values of 16 bits")
        self.assertEqual(plan["needed_bytes"], plan["weight_bytes"] + plan["workspace_bytes"] + 3 * 2 * page)
        free = 10**9 - plan["weight_bytes"] - plan["workspace_bytes"]
        self.assertEqual(plan["most_users"], free // page // 2)
        tensors = json.loads(self.good("show", self.gguf, "--json"))["tensors"]
        self.assertEqual(plan["weight_bytes"], sum(t["bytes"] for t in tensors))
        self.assertTrue(plan["fits"])
        self.assertIn("fits", self.good("plan", self.hf_model))
        done = self.refused("plan", self.gguf, "--ram", "1KB", "--json", named=["users of", "need"])
        self.assertFalse(json.loads(done.stdout)["fits"])
        for bad, named in (("--ram=much", "--ram"), ("--ram=-5", "--ram"), ("--kv-type=q3", "--kv-type"), ("--ctx=1000000", "--ctx")):
            self.refused("plan", self.gguf, bad, named=[named])
        double = json.loads(self.good("plan", self.gguf, "--kv-type", "f32", "--json"))
        self.assertEqual(double["kv_page_bytes"], 2 * page)


if __name__ == "__main__":
    harness.require_program()
    unittest.main(argv=sys.argv, verbosity=1)
