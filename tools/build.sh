#!/usr/bin/env bash
# Brings build/PRESET up to date: tools/build.sh PRESET [TARGET...]; no target means all of them.
# Silent when there is nothing to do, otherwise progress on stderr. Nothing goes to stdout.
set -euo pipefail
exec 1>&2 </dev/null

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
preset=${1:?usage: tools/build.sh PRESET [TARGET...]}
shift
build=$root/build/$preset

die() {
  echo "build: $*"
  exit 1
}

mkdir -p "$build" || die "cannot create $build: make the source tree writable"
# Two calls at once would disturb each other's build; the lock goes when this script ends.
exec 9>"$build/.lock"
flock 9

configure() {
  echo "build: configuring $build"
  (cd "$root" && cmake --preset "$preset" 9>&-) >"$build/configure.log" 2>&1 || {
    grep -A 12 -m 1 'CMake Error' "$build/configure.log" || tail -n 20 "$build/configure.log"
    die "cmake failed; details: $build/configure.log"
  }
  touch "$build/.configured"
}

# A tree that was moved or copied with its build folder is configured anew.
if [[ -f $build/CMakeCache.txt ]] &&
  ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$build/CMakeCache.txt"; then
  find "$build" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
fi
if [[ ! -f $build/build.ninja || $root/CMakePresets.json -nt $build/.configured ]]; then
  configure
fi

# Ninja's output, a line per step, as a counter; whatever else it says (warnings, errors) as it is.
show_progress() {
  local line step total percent shown=-1 open=false start=$SECONDS
  while IFS= read -r line; do
    if [[ $line =~ ^@([0-9]+)/([0-9]+)\  ]]; then
      [[ $line != *'Re-checking globbed'* ]] || continue
      step=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
      percent=$((100 * step / total))
      if [[ -t 1 ]]; then
        printf '\r\033[Kbuild: %d/%d, %d s' "$step" "$total" $((SECONDS - start))
        open=true
      elif ((percent / 10 > shown)); then
        shown=$((percent / 10))
        printf 'build: %d/%d, %d s\n' "$step" "$total" $((SECONDS - start))
      fi
    elif [[ -n $line && $line != 'ninja: '@(Entering directory|no work to do)* && $line != '-- '* ]]; then
      [[ $open == false ]] || printf '\r\033[K'
      open=false
      printf '%s\n' "$line"
    fi
  done
  [[ $open == false ]] || printf '\r\033[K'
}

NINJA_STATUS='@%f/%t ' ninja -C "$build" -j "$(nproc)" "$@" 2>&1 9>&- | show_progress ||
  die "failed; the compiler's message is above"
