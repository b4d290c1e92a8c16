#!/usr/bin/env bash
# Shows that ./run.sh and ./test.sh each work as the first command on a bare Debian 12: tools/bare_debian_test.sh [FOLDER]
# Makes a minimal root with debootstrap in FOLDER (default: a temporary one, removed afterwards), and for each command a
# fresh copy of it that holds the committed tree. Needs root, debootstrap, and a network with this machine's own mirror.
# The last line is "N passed, N failed"; logs stay in FOLDER.
set -euo pipefail

suite=bookworm
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

die() {
  echo "bare_debian_test: $*" >&2
  exit 1
}
[[ $EUID -eq 0 ]] || die "debootstrap needs root"
command -v debootstrap >/dev/null || die "debootstrap is not installed: apt-get install debootstrap"
git -C "$root" rev-parse -q --verify HEAD >/dev/null || die "$root has no commit to test"

# The mirror that this machine itself uses for the suite: from deb822 stanzas, or from one-line entries.
find_mirror() {
  local file files=()
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [[ ! -f $file ]] || files+=("$file")
  done
  awk -v suite="$suite" '
    FNR == 1 || /^[[:space:]]*$/ { uri = ""; listed = 0 }
    /^URIs:/ { uri = $2 }
    /^Suites:/ { for (i = 2; i <= NF; ++i) if ($i == suite) listed = 1 }
    uri != "" && listed { print uri; exit }
    /^deb[[:space:]]/ { sub(/\[[^]]*\]/, ""); if ($3 == suite) { print $2; exit } }
  ' "${files[@]}" </dev/null
}
mirror=$(find_mirror)
[[ -n $mirror ]] || die "no entry for $suite in /etc/apt/sources.list*"

if [[ $# -gt 0 ]]; then
  mkdir -p "$1"
  folder=$(cd -- "$1" && pwd)
else
  folder=$(mktemp -d)
fi
unmount() {
  local point
  for point in "$1/dev/pts" "$1/proc"; do
    ! mountpoint -q "$point" || umount "$point"
  done
}
cleanup() {
  for copy in "$folder"/copy-*; do
    [[ ! -d $copy ]] || unmount "$copy"
  done
  rm -rf --one-file-system "$folder"/copy-*
}
trap cleanup EXIT

base=$folder/base
if [[ ! -f $folder/base.ready ]]; then
  echo "making a bare $suite in $base"
  rm -rf --one-file-system "$base"
  debootstrap --variant=minbase "$suite" "$base" "$mirror" >"$folder/debootstrap.log" 2>&1 ||
    die "debootstrap failed; see $folder/debootstrap.log"
  touch "$folder/base.ready"
fi

passed=0 failed=0
# first_command LABEL COMMAND...: runs it in a fresh copy, in a path with a space, with nothing set but PATH and HOME.
first_command() {
  local label=$1 copy=$folder/copy-$1 log=$folder/$1.log start status=0
  shift
  cp -a "$base" "$copy"
  cp -L /etc/resolv.conf /etc/hosts "$copy/etc/"
  mkdir -p "$copy/srv/a tree"
  git -C "$root" archive HEAD | tar -x -C "$copy/srv/a tree"
  # As every running Debian has them: processes, and terminals for the tests that need one.
  mount -t proc proc "$copy/proc"
  mkdir -p "$copy/dev/pts"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$copy/dev/pts"
  ln -sf pts/ptmx "$copy/dev/ptmx"
  start=$(date +%s)
  chroot "$copy" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/nonexistent \
    /bin/bash -c 'cd "/srv/a tree" && exec "$@"' bash "$@" </dev/null >"$log" 2>"$log.err" || status=$?
  echo "$label: $* as the first command: exit status $status after $(($(date +%s) - start)) s"
  sed 's/^/  stderr: /' "$log.err" | tail -n 40
  sed 's/^/  stdout: /' "$log" | tail -n 40
  if [[ $status -eq 0 && -s $log ]]; then
    passed=$((passed + 1))
    if [[ $1 == ./run.sh ]]; then
      start=$(date +%s%N)
      chroot "$copy" /bin/bash -c 'cd "/srv/a tree" && exec ./run.sh --help' </dev/null >/dev/null
      echo "$label: ./run.sh --help once all is built: $((($(date +%s%N) - start) / 1000000)) ms"
    fi
  else
    failed=$((failed + 1))
  fi
  unmount "$copy"
  rm -rf --one-file-system "$copy"
}

first_command run ./run.sh
first_command test ./test.sh
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
