#!/usr/bin/env bash
# recipes/mosi/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: features, small (two CPU cores, the default), base or lora
set -euo pipefail
corpus=mosi
if [ "${2:-small}" = features ]; then corpus=mosi_features; fi
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" mosi "$corpus" "$@"
