#!/usr/bin/env bash
# recipes/facial_expressions/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: small (two CPU cores, the default)
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" facial_expressions facial_expressions "$@"
