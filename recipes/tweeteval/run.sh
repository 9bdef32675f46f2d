#!/usr/bin/env bash
# recipes/tweeteval/run.sh ROOT [RECIPE [KEY=VALUE]…]   RECIPE: small (two CPU cores, the default)
set -euo pipefail
exec "$(dirname -- "${BASH_SOURCE[0]}")/../run.sh" tweeteval tweeteval "$@"
