#!/usr/bin/env python3
"""What packaging/ passes to ponder is what the program takes, and the image has the libraries that the program links."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

from dependencies_test import ROOT, installed_sets

PACKAGING = ROOT / "packaging"
SERVE_SOURCES = ["src/cmd/serve.cc", "src/cmd/serve_durable.cc"]
# The package of the library that each package of install_deps.sh links to; "" where the program needs nothing of it when it
# runs, and the package itself where that is what it needs.
RUNS_WITH = {
    "g++": "libstdc++6",
    "cmake": "",
    "ninja-build": "",
    "pkg-config": "",
    "libfmt-dev": "libfmt9",
    "nlohmann-json3-dev": "",
    "libcli11-dev": "",
    "libtomlplusplus-dev": "",
    "libgtest-dev": "",
    "libbenchmark-dev": "",
    "libpcre2-dev": "libpcre2-8-0",
    "libutf8proc-dev": "libutf8proc2",
    "libedit-dev": "libedit2",
    "libssl-dev": "libssl3",
    "libboost-dev": "",
    "libcurl4-openssl-dev": "libcurl4",
    "ca-certificates": "ca-certificates",
}
BASE = {"libc6", "libgcc-s1"}  # of every Debian


def declared_flags():
    """Flags that serve's source declares and that do something."""
    flags = set()
    for name in SERVE_SOURCES:
        text = (ROOT / name).read_text()
        for names in re.findall(r'add_(?:option|flag)\w*(?:<\w+>)?\(\s*"([^"]+)"', text):
            flags |= {flag for flag in names.split(",") if flag.startswith("--")}
    return flags


def declared_variables():
    """Environment variables that the program's source reads."""
    text = "".join(path.read_text() for path in (ROOT / "src").rglob("*.cc") if not path.name.endswith("_test.cc"))
    return set(re.findall(r'"((?:PONDER|OLLAMA|VLLM)_[A-Z_]+)"', text))


def commands(text):
    """The words behind "ponder serve" in a unit, in its shell spelling or as a JSON list."""
    joined = text.replace("\\\n", " ")
    for line in re.findall(r"^ExecStart=\S+/ponder serve(.*)$", joined, re.MULTILINE):
        yield line.split()
    for line in re.findall(r'^ENTRYPOINT \["\S+/ponder", "serve"(.*)\]$', joined, re.MULTILINE):
        yield re.findall(r'"([^"]+)"', line)


def flags_of(words):
    return {word.split("=")[0] for word in words if word.startswith("--")}


def image_packages(text):
    """What the last stage installs."""
    stage = text.rpartition("\nFROM ")[2].replace("\\\n", " ")
    words = re.search(r"apt-get install ([^&]*)&&", stage)[1].split()
    return {word for word in words if not word.startswith("-")}


class Packaging(unittest.TestCase):
    def setUp(self):
        self.files = {path.name: path.read_text() for path in PACKAGING.iterdir()}

    def test_flags_are_the_programs(self):
        declared = declared_flags()
        self.assertGreater(len(declared), 30)
        for name in ("ponder.service", "ponder-network.conf", "Containerfile"):
            found = list(commands(self.files[name]))
            self.assertEqual(len(found), 1, name)
            self.assertEqual(flags_of(found[0]) - declared, set(), f"{name}: flags that serve does not have")
        said = set(re.findall(r"`(--[a-z-]+)(?: /[^`]*)?`", self.files["README.md"].replace("\n", " ")))
        others = {"--memory", "--health-cmd"}  # podman's
        self.assertEqual(said - declared - others, set(), "README.md: flags that serve does not have")

    def test_variables_are_the_programs(self):
        declared = declared_variables()
        for name, text in self.files.items():
            used = set(re.findall(r"\b(?:PONDER|OLLAMA|VLLM)_[A-Z_]+", text))
            self.assertEqual(used - declared, set(), f"{name}: variables that the program does not read")

    def test_there_is_time_to_end(self):
        drain = re.search(r"--drain-seconds (\d+)", self.files["ponder.service"])[1]
        stop = re.search(r"^TimeoutStopSec=(\d+)$", self.files["ponder.service"], re.MULTILINE)[1]
        self.assertGreaterEqual(int(stop), int(drain) + 30)
        base, more = (next(commands(self.files[name])) for name in ("ponder.service", "ponder-network.conf"))
        self.assertEqual(more[: len(base)], base, "ponder-network.conf does not go on from the unit's command")

    def test_only_loopback_without_keys(self):
        self.assertIn("\nEnvironment=OLLAMA_HOST=127.0.0.1:", self.files["ponder.service"])
        self.assertNotIn("--host", self.files["ponder.service"])
        self.assertIn("--api-keys", flags_of(next(commands(self.files["ponder-network.conf"]))))
        self.assertNotIn("API_KEY=", re.sub(r"#.*", "", self.files["Containerfile"]))

    def test_the_image_has_the_libraries(self):
        packages = installed_sets()["packages"]
        self.assertEqual(packages - RUNS_WITH.keys(), set(), "add what the program needs of these when it runs to RUNS_WITH")
        wanted = {RUNS_WITH[name] for name in packages} - {""}
        self.assertEqual(image_packages(self.files["Containerfile"]), wanted)

    def test_the_program_links_nothing_else(self):
        program = pathlib.Path(os.environ.get("PONDER_BUILD_DIR", ROOT / "build/release")) / "ponder"
        release = pathlib.Path("/etc/debian_version")
        if not program.exists() or not shutil.which("readelf") or not release.exists() or release.read_text()[:3] != "12.":
            self.skipTest("needs a built program, readelf and Debian 12")
        dynamic = subprocess.run(["readelf", "-d", program], check=True, capture_output=True, text=True).stdout
        libraries = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        sanitizers = [name for name in libraries if re.match(r"lib[a-z]*san\.", name)]
        found = subprocess.run(["dpkg-query", "-S", *(f"*-linux-gnu/{name}" for name in libraries if name not in sanitizers)],
                               check=True, capture_output=True, text=True).stdout
        needed = {line.partition(":")[0] for line in found.splitlines()}
        self.assertEqual(needed - BASE - image_packages(self.files["Containerfile"]), set())


if __name__ == "__main__":
    unittest.main()
