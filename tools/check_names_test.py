#!/usr/bin/env python3
"""No two types of one name in one namespace: the linker would keep one of them and say nothing, and vectors of the other break."""

import collections
import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPENS = re.compile(r"namespace\s*([\w:]*)\s*\{")
CLOSES = re.compile(r"\}\s*// namespace")
TYPE = re.compile(r"(?:struct|class|enum class|union)\s+(\w+)\s*(?:final\s*)?(?:\{|:(?!:))")


def types_of(path):
    """The types that a file defines in named namespaces, as the formatter lays them out: from the first column."""
    scopes = []
    for line in path.read_text().splitlines():
        if opened := OPENS.match(line):
            scopes.append(opened[1])
        elif CLOSES.match(line) and scopes:
            scopes.pop()
        elif "" not in scopes and (found := TYPE.match(line)):
            yield "::".join([*scopes, found[1]])


def defined_twice(files):
    places = collections.defaultdict(set)
    for path in files:
        if not path.name.endswith("_test.cc"):  # programs of their own
            for name in types_of(path):
                places[name].add(path.name)
    return {name: sorted(where) for name, where in places.items() if len(where) > 1}


class NamesTest(unittest.TestCase):
    def test_the_tree(self):
        files = [path for path in (ROOT / "src").rglob("*") if path.suffix in (".h", ".cc")]
        self.assertGreater(len(files), 100)
        self.assertEqual(defined_twice(files), {})

    def test_that_it_finds_one(self):
        with tempfile.TemporaryDirectory() as folder:
            a, b, c = (pathlib.Path(folder) / name for name in ("a.h", "b.cc", "c.cc"))
            a.write_text("namespace n {\nstruct Twice {\n};\nstruct Outer::Inner {\n};\n}  // namespace n\n")
            b.write_text("namespace n {\nnamespace {\nstruct Own : A {\n};\n}  // namespace\nclass Twice : B {\n};\n}  // namespace n\n")
            c.write_text("namespace n {\nnamespace {\nstruct Own {\n};\n}  // namespace\nstruct Outer {\n};\n}  // namespace n\n")
            self.assertEqual(defined_twice([a, b, c]), {"n::Twice": ["a.h", "b.cc"]})


if __name__ == "__main__":
    unittest.main()
