#!/usr/bin/env bash
# run.sh and tools/build.sh on a throwaway project: arguments, working directory, stdin and stdout are the program's alone,
# a second call says nothing, a change is rebuilt, an error stops before the old program runs.
set -euo pipefail

source_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tree="$scratch/a tree"
mkdir -p "$tree/tools"
cp "$source_dir/run.sh" "$source_dir/CMakePresets.json" "$tree/"
cp "$source_dir/tools/install_deps.sh" "$source_dir/tools/build.sh" "$tree/tools/"
cat >"$tree/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(throwaway LANGUAGES CXX)
add_executable(ponder main.cc)
CMAKE
write_program() {
  cat >"$tree/main.cc" <<PROGRAM
#include <cstdio>
#include <unistd.h>
int main(int argc, char** argv) {
  char folder[4096];
  std::printf("$1 %s", getcwd(folder, sizeof folder));
  for (int i = 1; i < argc; ++i) std::printf(" [%s]", argv[i]);
  for (int c; (c = std::getchar()) != EOF;) std::putchar(c);
  return 7;
}
PROGRAM
}
write_program first

fail() {
  echo "FAILED: $*"
  echo "stdout: $(cat "$scratch/out")"
  echo "stderr: $(cat "$scratch/err")"
  exit 1
}
# call STATUS STDOUT ARGUMENT...: runs run.sh from another folder and checks what it returns.
call() {
  local expected_status=$1 expected=$2 status=0
  shift 2
  (cd "$scratch" && printf ' typed' | "$tree/run.sh" "$@" >out 2>err) || status=$?
  [[ $status -eq $expected_status ]] || fail "status $status, expected $expected_status"
  [[ $(cat "$scratch/out") == "$expected" ]] || fail "expected '$expected' on stdout"
}

call 7 "first $scratch [train] [a b] [] [--x=\$y] typed" train "a b" "" "--x=\$y"
[[ -s $scratch/err ]] || fail "the first build said nothing"

call 7 "first $scratch typed"
[[ ! -s $scratch/err ]] || fail "expected silence when all is in place"

write_program second
call 7 "second $scratch typed"

echo 'int main() { return missing; }' >"$tree/main.cc"
call 1 ""
grep -q missing "$scratch/err" || fail "the compiler's message is not on stderr"

write_program third
mv "$tree" "$scratch/moved tree"
tree="$scratch/moved tree"
call 7 "third $scratch typed"

echo 'nonsense(' >"$tree/CMakeLists.txt"
call 1 ""

echo "run.sh: all as promised"
