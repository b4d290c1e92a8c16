#!/usr/bin/env python3
"""The include check catches each kind of violation, at its line, and passes a clean tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(TOOLS))
sys.dont_write_bytecode = True
import check_includes  # noqa: E402

CLEAN = {
    "src/core/status.h": '#pragma once\n#include <string>\n// #include "ops/ops.h"\n/*\n#include "cmd/main.h"\n*/\n',
    "src/core/status.cc": '#include "core/status.h"\nvoid f() { std::fprintf(stderr, "x"); std::abort(); }\n',
    "src/core/text.cc": 'const char* k = "exit(1); std::cout";  // printf("no")\nauto n = 1\'000; // abort()\n'
                        "void g() { std::snprintf(b, 9, \"%d\", 1); thing.exit(1); ptr->abort(); on_exit(f); }\n",
    "src/core/status_test.cc": "void h() { std::exit(0); }\n",
    "src/core/CMakeLists.txt": "ponder_module(core LIBS OpenSSL::Crypto)\n",
    "src/quant/dot.cc": '#include <immintrin.h>\n#include "core/status.h"\n',
    "src/quant/CMakeLists.txt": "find_package(fmt)\nponder_module(quant DEPS core)  # DEPS cmd\n",
    "src/io/json.h": "#include <nlohmann/json_fwd.hpp>\n",
    "src/io/json.cc": '#include <nlohmann/json.hpp>\n#include "io/json.h"\n#include "core/status.h"\n',
    "src/io/CMakeLists.txt": "ponder_module(io DEPS quant core LIBS nlohmann_json::nlohmann_json)\n",
    "src/ops/cpu/kernel.cc": '#include <immintrin.h>\n#include "ops/cpu/kernel.h"\n',
    "src/cmd/main.cc": '#include "train/recipe.h"\nint main() { std::printf("hi"); std::exit(0); }\n',
    "src/cmd/CMakeLists.txt": "add_executable(ponder main.cc)\n",
}

# file, its content, the line at fault (0: no violation), a part of the message
CASES = [
    ("src/core/bad.cc", '\n#include "io/json.h"\n', 2, "core may not include io"),
    ("src/core/bad.cc", "#include <io/json.h>\n", 1, "core may not include io"),
    ("src/core/bad.cc", '  #  include   "io/json.h"\n', 1, "core may not include io"),
    ("src/quant/bad.h", '/* one\ntwo */\n#include "ops/ops.h"\n', 3, "quant may not include ops"),
    ("src/text/bad.cc", '#include "quant/format.h"\n', 1, "text may not include quant"),
    ("src/model/bad.cc", '#include "text/tokenizer.h"\n', 1, "model may not include text"),
    ("src/engine/bad_test.cc", '#include "train/recipe.h"\n', 1, "engine may not include train"),
    ("src/eval/bad.cc", '#include "model/model.h"\n', 1, "eval may not include model"),
    ("src/train/bad.cc", '#include "cmd/main.h"\n', 1, "train may not include cmd"),
    ("src/server/bad.cc", '#include "train/recipe.h"\n', 1, "server may not include train"),
    ("src/io/cpu/bad.cc", '#include "ops/ops.h"\n', 1, "io may not include ops"),
    ("src/core/bad.cc", '#include "status.h"\n', 1, "not written from src/"),
    ("src/core/bad.cc", '#include "../core/status.h"\n', 1, "not written from src/"),
    ("src/core/bad.cc", "#include <immintrin.h>\n", 1, "intrinsics"),
    ("src/ops/bad.cc", "#include <emmintrin.h>\n", 1, "intrinsics"),
    ("src/io/bad.h", "#include <nlohmann/json.hpp>\n", 1, "in a header"),
    ("src/io/bad.h", "#include <toml++/toml.h>\n", 1, "in a header"),
    ("src/io/bad.h", "#include <fmt/format.h>\n", 1, "in a header"),
    ("src/cmd/bad.h", "#include <CLI/CLI.hpp>\n", 1, "in a header"),
    ("src/io/bad.cc", 'int x;\nvoid f() { std::cout << "hi"; }\n', 2, "only src/cmd prints"),
    ("src/io/bad.cc", 'void f() { printf("hi"); }\n', 1, "only src/cmd prints"),
    ("src/io/bad.cc", 'void f() { std::fprintf(stderr,\n  "hi"); }\n', 1, "only src/cmd prints"),
    ("src/io/bad.cc", 'void f() { fmt::print("hi"); }\n', 1, "only src/cmd prints"),
    ("src/io/bad.cc", "void f() { if (x) exit(1); }\n", 1, "only src/cmd prints"),
    ("src/io/bad.cc", "void f() { ::_exit(1); }\n", 1, "only src/cmd prints"),
    ("src/io/bad.cc", "void f() { std::abort(); }\n", 1, "only src/cmd prints"),
    ("src/io/bad.cc", 'auto s = R"(a " b)"; void f() { std::exit(1); }\n', 1, "only src/cmd prints"),
    ("src/io/bad.cc", "auto n = 1'000; void f() { std::exit(1); } auto m = 2'000;\n", 1, "only src/cmd prints"),
    ("src/quant/CMakeLists.txt", "ponder_module(quant\n  DEPS core io\n  LIBS fmt::fmt)\n", 1, "DEPS of quant name io"),
    ("src/io/CMakeLists.txt", "ponder_module(io DEPS quant)\n", 0, "io includes core, which is not among the DEPS"),
    ("src/extra/a.cc", "int x;\n", 1, "not a module"),
]


def make_tree(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


class CheckIncludes(unittest.TestCase):
    def problems(self, files):
        with tempfile.TemporaryDirectory() as folder:
            make_tree(pathlib.Path(folder), files)
            return check_includes.check_tree(pathlib.Path(folder))

    def test_passes_a_clean_tree(self):
        self.assertEqual(self.problems(CLEAN), [])

    def test_catches_each_violation(self):
        for file, content, line, message in CASES:
            with self.subTest(file=file, content=content):
                problems = self.problems({**CLEAN, file: content})
                self.assertEqual(len(problems), 1, problems)
                self.assertIn(message, problems[0])
                if line and not message.startswith("not a module"):
                    self.assertTrue(problems[0].startswith(f"{file}:{line}: "), problems[0])

    def test_order_has_no_cycle(self):
        seen = set()
        for module, allowed in check_includes.MAY_INCLUDE.items():
            if module != "cmd":
                self.assertLessEqual(allowed, seen, f"{module} includes something above it")
            seen.add(module)

    def test_exit_status(self):
        for files, status in ((CLEAN, 0), ({**CLEAN, CASES[0][0]: CASES[0][1]}, 1)):
            with tempfile.TemporaryDirectory() as folder:
                make_tree(pathlib.Path(folder), files)
                done = subprocess.run([sys.executable, str(TOOLS / "check_includes.py"), folder],
                                      stdout=subprocess.PIPE, text=True, check=False)
                self.assertEqual(done.returncode, status, done.stdout)


if __name__ == "__main__":
    unittest.main()
