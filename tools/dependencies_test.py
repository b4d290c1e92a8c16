#!/usr/bin/env python3
"""What CMake looks for is what tools/install_deps.sh installs and docs/dependencies.md explains."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What find_package and pkg_check_modules ask for, and the package that brings it ("" for what CMake itself knows).
PACKAGE_OF = {
    "CLI11": "libcli11-dev",
    "GTest": "libgtest-dev",
    "OpenSSL": "libssl-dev",
    "PkgConfig": "pkg-config",
    "Threads": "",
    "benchmark": "libbenchmark-dev",
    "fmt": "libfmt-dev",
    "nlohmann_json": "nlohmann-json3-dev",
    "tomlplusplus": "libtomlplusplus-dev",
    "libedit": "libedit-dev",
    "Boost": "libboost-dev",
    "libcurl": "libcurl4-openssl-dev",
    "libpcre2-8": "libpcre2-dev",
    "libutf8proc": "libutf8proc-dev",
}
ASKED_FOR_OTHERWISE = {"g++", "cmake", "ninja-build", "ca-certificates", "libtomlplusplus-dev"}  # the latter: headers only


def installed_sets():
    """Package names by array of install_deps.sh: packages, test_packages, dev_packages."""
    script = (ROOT / "tools/install_deps.sh").read_text()
    return {name: set(words.split()) for name, words in re.findall(r"^(\w*packages)=\(([^)]*)\)", script, re.MULTILINE)}


def asked_for():
    """Names in find_package and pkg_check_modules calls, with the file that has the call."""
    files = [ROOT / "CMakeLists.txt", *(ROOT / "cmake").glob("*.cmake")]
    for folder in ("src/*", "tests", "bench", "fuzz"):
        files += ROOT.glob(f"{folder}/CMakeLists.txt")
    for file in files:
        text = re.sub(r"#[^\n]*", "", file.read_text())
        for name in re.findall(r"find_package\(\s*(\S+?)[\s)]", text):
            yield name, file
        for words in re.findall(r"pkg_check_modules\(\s*\S+\s+([^)]*)\)", text):
            for word in words.split():
                if not word.isupper() and word != "IMPORTED_TARGET":
                    yield word, file


class Dependencies(unittest.TestCase):
    def test_all_that_cmake_asks_for_is_installed(self):
        build = installed_sets()["packages"]
        for name, file in asked_for():
            self.assertIn(name, PACKAGE_OF, f"{file}: add the package that brings {name} to PACKAGE_OF here")
            if PACKAGE_OF[name]:
                self.assertIn(PACKAGE_OF[name], build, f"{file} needs {name}; add its package to install_deps.sh")

    def test_nothing_is_installed_for_no_reason(self):
        needed = {PACKAGE_OF.get(name) for name, _ in asked_for()} | ASKED_FOR_OTHERWISE
        self.assertEqual(installed_sets()["packages"] - needed, set(), "no CMake file asks for these")

    def test_the_document_lists_the_same_packages(self):
        text = (ROOT / "docs/dependencies.md").read_text()
        rows = re.findall(r"^\|((?: `[^`]+`)+) \|", text, re.MULTILINE)
        listed = {word for row in rows for word in re.findall(r"`([^`]+)`", row)}
        self.assertEqual(listed, set().union(*installed_sets().values()))


if __name__ == "__main__":
    unittest.main()
