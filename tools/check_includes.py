#!/usr/bin/env python3
"""Holds src/ to the import order and to what each module may use: check_includes.py [ROOT].

Prints "file:line: message" for each violation and exits 1 if there is any. The rules:
  - a module includes only those that MAY_INCLUDE gives it, and of these only its DEPS in src/MODULE/CMakeLists.txt
    (so that what it includes is what it links), and DEPS itself stays within MAY_INCLUDE;
  - includes are written from src/: "core/status.h", never "../core/status.h" or "status.h";
  - SIMD intrinsics stay under src/ops/cpu and src/quant;
  - heavy third-party headers are included by .cc files only;
  - nothing outside src/cmd prints or ends the program (tests may).
"""

import pathlib
import re
import sys

# docs/architecture.md shows the same table. Lowest first.
MAY_INCLUDE = {
    "core": set(),
    "quant": {"core"},
    "io": {"quant", "core"},
    "ops": {"quant", "core"},
    "text": {"io", "core"},
    "model": {"ops", "io", "quant", "core"},
    "engine": {"model", "ops", "text", "core"},
    "eval": {"engine", "io", "text", "core"},
    "train": {"eval", "engine", "model", "ops", "io", "text", "core"},
    "hub": {"io", "text", "core"},
    "server": {"engine", "hub", "text", "core"},
}
MAY_INCLUDE["cmd"] = set(MAY_INCLUDE)

INTRINSICS = re.compile(r"(x86|[a-z]*mm)intrin\.h|avx\w*intrin\.h|arm_neon\.h")
INTRINSICS_FOLDERS = ("src/ops/cpu/", "src/quant/")
HEAVY = re.compile(r"(nlohmann|toml\+\+|fmt|CLI|spdlog|boost)/")
HEAVY_ALLOWED = {"nlohmann/json_fwd.hpp"}
# Called as a free function, with or without std::; not a member, not snprintf or fprintf to a file of ours.
PRINT_OR_EXIT = re.compile(
    r"\b(?:std::)?(?:cout|cerr|clog)\b|(?<![\w.>])(?:(?:std)?::)?(?:v?printf|puts|putchar|perror|_?exit|_Exit|quick_exit|"
    r"abort|terminate)\s*\(|\bfmt::print\s*\(|\bf(?:printf|puts|write)\s*\([^;]*\b(?:stdout|stderr)\b")
PRINT_OR_EXIT_ALLOWED = {"src/core/status.cc"}  # check_failed: says what broke, then aborts

INCLUDE = re.compile(r'^\s*#\s*include\s*(?P<open>["<])(?P<path>[^">]+)[">]')
COMMENT_OR_STRING = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(?P<tag>[^(\s]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.DOTALL)
DEPS = re.compile(r"ponder_module\(\s*(?P<name>\w+)(?:[^)]*?\bDEPS\b(?P<deps>[^)]*?))?(?:\bLIBS\b[^)]*)?\)", re.DOTALL)


def blank(text, strings):
    """Comments, and string literals too if `strings`, replaced by spaces; line numbers stay."""

    def erase(match):
        if match[0][0] != "/" and not strings:
            return match[0]
        return re.sub(r"[^\n]", " ", match[0])

    return COMMENT_OR_STRING.sub(erase, text)


def read_deps(cmake_file):
    """The module's DEPS, or None where the file has no ponder_module call."""
    if not cmake_file.exists():
        return None
    text = re.sub(r"#[^\n]*", "", cmake_file.read_text())
    match = DEPS.search(text)
    return set((match["deps"] or "").split()) if match else None


def check_include(module, deps, file, line, spelled):
    problems = []
    first, _, rest = spelled["path"].partition("/")
    if spelled["open"] == '"' and (not rest or first not in MAY_INCLUDE):
        problems.append(f'include "{spelled["path"]}" is not written from src/, as in "core/status.h"')
    elif rest and first in MAY_INCLUDE and first != module:
        if first not in MAY_INCLUDE[module]:
            allowed = ", ".join(sorted(MAY_INCLUDE[module])) or "no other module"
            problems.append(f"{module} may not include {first} (it may include {allowed})")
        elif deps is not None and first not in deps:
            problems.append(f"{module} includes {first}, which is not among the DEPS of src/{module}/CMakeLists.txt")
    if INTRINSICS.fullmatch(spelled["path"]) and not file.startswith(INTRINSICS_FOLDERS):
        problems.append(f"intrinsics ({spelled['path']}) belong under {' or '.join(INTRINSICS_FOLDERS)}")
    if file.endswith(".h") and HEAVY.match(spelled["path"]) and spelled["path"] not in HEAVY_ALLOWED:
        problems.append(f"{spelled['path']} in a header: include it in .cc files only")
    return [f"{file}:{line}: {problem}" for problem in problems]


def check_source(root, path, module, deps):
    file = path.relative_to(root).as_posix()
    text = path.read_text(errors="replace")
    problems = []
    for number, line in enumerate(blank(text, strings=False).split("\n"), 1):
        spelled = INCLUDE.match(line)
        if spelled:
            problems += check_include(module, deps, file, number, spelled)
    if module != "cmd" and file not in PRINT_OR_EXIT_ALLOWED and not path.stem.endswith("_test"):
        code = blank(text, strings=True)
        for found in PRINT_OR_EXIT.finditer(code):
            number = code.count("\n", 0, found.start()) + 1
            problems.append(f"{file}:{number}: '{found[0].strip()}': only src/cmd prints or exits; return a Status")
    return problems


def check_tree(root):
    """All violations under root/src, in file order."""
    problems = []
    for folder in sorted(path for path in (root / "src").iterdir() if path.is_dir()):
        module = folder.name
        if module not in MAY_INCLUDE:
            problems.append(f"src/{module}:1: not a module that tools/check_includes.py knows")
            continue
        cmake_file = folder / "CMakeLists.txt"
        deps = read_deps(cmake_file)
        for extra in sorted((deps or set()) - MAY_INCLUDE[module]):
            problems.append(f"{cmake_file.relative_to(root).as_posix()}:1: DEPS of {module} name {extra}, "
                            "which the import order does not allow")
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".cc", ".h"):
                problems += check_source(root, path, module, deps)
    return problems


def main():
    if len(sys.argv) > 2:
        sys.exit("usage: check_includes.py [ROOT]")
    root = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else pathlib.Path(__file__).parent.parent).resolve()
    if not (root / "src").is_dir():
        sys.exit(f"{root} has no folder src")
    problems = check_tree(root)
    print("\n".join(problems) if problems else "include order: clean")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
