#!/usr/bin/env bash
# recipes/ch_sims/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: small (two CPU cores, the default), base or lora
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" ch_sims ch_sims "$@"
