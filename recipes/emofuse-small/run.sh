#!/usr/bin/env bash
# emofuse-small from raw files to its folder with figures, pictures and model card: runs/emofuse-small-card.
#
#   recipes/emofuse-small/run.sh ROOT [KEY=VALUE]…
#
# ROOT holds goemotions, meld, mosi, ravdess, emodb and ferplus. What follows it is laid over every stage, for example
# train.threads=2. Killed, it goes on where it stopped: a stage that is finished is not trained again.
set -euo pipefail

if [ "$#" -lt 1 ]; then
    echo "usage: $0 ROOT [KEY=VALUE]..." >&2
    exit 2
fi
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$1
shift

stage() {
    emofuse train "$here/$1" root="$2" "${@:3}" --resume
}

stage text.yaml "$root" "$@"
stage text-dialogue.yaml "$root" "$@"
emofuse average runs/emofuse-small-words runs/emofuse-small-text/model runs/emofuse-small-text-dialogue/model
stage ../ravdess/small.yaml "$root/ravdess" "$@"
stage speech-teacher.yaml "$root" "$@"
stage speech.yaml "$root" "$@"
stage face-first.yaml "$root" "$@"
stage face.yaml "$root" "$@"
stage fusion.yaml "$root" "$@"
python "$here/end_to_end.py" "$root" --model runs/emofuse-small/model --json runs/end_to_end.json
python "$here/card.py" --end-to-end runs/end_to_end.json --to runs/emofuse-small-card
