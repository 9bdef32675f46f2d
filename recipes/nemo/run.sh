#!/usr/bin/env bash
# recipes/nemo/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: small (two CPU cores, the default)
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" nemo nemo "$@"
