#!/usr/bin/env bash
# Installs what is missing, builds everything and runs all tests, or those whose name matches the regular expression NAME:
#   ./test.sh [NAME]              PRESET=asan ./test.sh [NAME] runs them under another preset (debug, asan, tsan)
# The last line is "N passed, N failed, N skipped"; exit 1 if a test failed or none ran.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
preset=${PRESET:-release}

if [[ $# -gt 1 || ${1:-} == -* ]]; then
  echo "usage: [PRESET=release] ./test.sh [NAME]" >&2
  exit 2
fi

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
# GCC 12's thread sanitizer cannot place its shadow where a newer kernel may put the program.
fixed_addresses=()
if [[ $preset == tsan ]] && setarch -R true 2>/dev/null; then
  fixed_addresses=(setarch -R)
fi

"$root/tools/install_deps.sh" --test
if ! "${fixed_addresses[@]}" "$root/tools/build.sh" "$preset"; then
  echo "the build failed, so no test ran"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
exec "${fixed_addresses[@]}" python3 "$root/tools/run_tests.py" "$preset" "$@"
