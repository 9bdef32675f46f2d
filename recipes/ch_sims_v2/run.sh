#!/usr/bin/env bash
# recipes/ch_sims_v2/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: small (two CPU cores, the default), base or lora
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" ch_sims_v2 ch_sims_v2 "$@"
