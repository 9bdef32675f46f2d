#!/usr/bin/env bash
# recipes/emogator/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: small (two CPU cores, the default)
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" emogator emogator "$@"
