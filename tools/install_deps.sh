#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that ponder needs; silent and quick when all are there.
#   tools/install_deps.sh          what run.sh needs: to configure, build and run
#   tools/install_deps.sh --test   and what test.sh needs
#   tools/install_deps.sh --dev    and clang for fuzzing, clang-format, shellcheck, debootstrap
# Why each package is here: docs/dependencies.md. Messages go to stderr, apt's output to build/install.log.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
packages=(
  g++ cmake ninja-build pkg-config
  libfmt-dev nlohmann-json3-dev libcli11-dev libtomlplusplus-dev
  libgtest-dev libbenchmark-dev
  libpcre2-dev libutf8proc-dev libedit-dev libssl-dev libboost-dev libcurl4-openssl-dev
  ca-certificates
)
test_packages=(python3)
dev_packages=(git shellcheck debootstrap clang clang-format libclang-rt-14-dev)

say() { echo "install_deps: $*" >&2; }
die() {
  say "$*"
  exit 1
}

for option in "$@"; do
  case $option in
    --test) packages+=("${test_packages[@]}") ;;
    --dev) packages+=("${test_packages[@]}" "${dev_packages[@]}") ;;
    *)
      say "unknown option '$option' (expected nothing, --test or --dev)"
      exit 2
      ;;
  esac
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  die "needs apt-get, so Debian or Ubuntu; elsewhere install by hand what docs/dependencies.md lists"
fi

installed=" $(dpkg-query -W -f '${Package}:${db:Status-Status} ' "${packages[@]}" 2>/dev/null || true)"
missing=()
for package in "${packages[@]}"; do
  [[ $installed == *" $package:installed "* ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null ||
    die "not root and no sudo: as root, run: apt-get install ${missing[*]}"
  as_root=(sudo)
  # Without a terminal nobody can type a password.
  [[ -t 2 ]] || as_root+=(-n)
  "${as_root[@]}" true || die "sudo refused: as root, run: apt-get install ${missing[*]}"
fi

mkdir -p "$root/build" || die "cannot create $root/build: make the source tree writable"
log=$root/build/install.log
: >"$log"
apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -qq \
    -o DPkg::Lock::Timeout=300 "$@" </dev/null >>"$log" 2>&1
}
install() { apt install -y --no-install-recommends "${missing[@]}"; }

say "installing ${missing[*]}"
start=$SECONDS
# The package lists of a machine that has been up for long may be out of date, or missing: then fetch them.
if ! install && ! { apt update && install; }; then
  if grep -qE 'Could not (resolve|connect)|Temporary failure|Unable to connect|Network is unreachable' "$log"; then
    die "cannot reach the package mirror; is there a network? Details: $log"
  fi
  reason=$(grep -E '^E:' "$log" | tail -n 1 || true)
  die "apt-get could not install the packages (${reason:-no message}). Details: $log"
fi
say "installed in $((SECONDS - start)) s"
