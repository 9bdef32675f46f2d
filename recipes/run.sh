#!/usr/bin/env bash
# From raw files to figures: check a corpus, train a recipe on it, evaluate it, rewrite the results table of its README.
#
#   recipes/run.sh FOLDER CORPUS ROOT [RECIPE [KEY=VALUE]…]
#
# FOLDER is that of the recipes here, CORPUS the reader's name, ROOT the folder of the data, RECIPE small (the default),
# base or lora. A run that was interrupted goes on; one that is finished is not trained again.
# The run.sh of each corpus fills in the first two.
set -euo pipefail

if [ "$#" -lt 3 ]; then
    echo "usage: $0 FOLDER CORPUS ROOT [RECIPE [KEY=VALUE]...]" >&2
    exit 2
fi
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
folder=$1 corpus=$2 root=$3 recipe=${4:-small}
shift "$(($# < 4 ? 3 : 4))"
file=$here/$folder/$recipe.yaml
if [ ! -f "$file" ]; then
    echo "no recipe $file; there are: $(cd "$here/$folder" && echo ./*.yaml)" >&2
    exit 2
fi

emofuse data stats "$root" --corpus "$corpus"
emofuse train "$file" root="$root" "$@" --resume
python -m emofuse.training.outcome.results "$file" root="$root" "$@"
