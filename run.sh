#!/usr/bin/env bash
# Installs what is missing, builds build/release/ponder and runs it with these arguments:
#   ./run.sh                      a reasoning chat with the shipped model (one worked question if not on a terminal)
#   ./run.sh train recipes/zero-laptop.toml
#   ./run.sh --help
# All that this script has to say goes to stderr; stdout is the program's.
set -euo pipefail
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)

"$root/tools/install_deps.sh"
"$root/tools/build.sh" release ponder
exec "$root/build/release/ponder" "$@"
