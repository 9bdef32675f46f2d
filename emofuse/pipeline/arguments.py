"""Arguments of `emofuse.load`: those of another kind are refused in a line that says what is valid."""

from __future__ import annotations

from dataclasses import fields

from emofuse.errors import CheckpointError, EmofuseError, MediaError, check_count
from emofuse.media.reader import MediaOptions


def check_kinds(threads: object, language: object, revision: object) -> None:
    """Raise EmofuseError for a number of threads, a language or a revision that can be none."""
    if threads is not None:
        check_count(threads, "threads")
    if not isinstance(language, str | None):
        raise MediaError(f"language is a code, as in language='en', not {language!r:.80}")
    if not isinstance(revision, str | None):
        raise CheckpointError(f"revision is a branch, a tag or a commit, not {revision!r:.80}")


def checked_options(options: MediaOptions | None) -> MediaOptions:
    """The options, or those that hold where none were given. Raises EmofuseError for what is none."""
    if options is not None and not isinstance(options, MediaOptions):
        raise EmofuseError(
            f"options is a MediaOptions, not {type(options).__name__}; give emofuse.media.reader.MediaOptions(…), with "
            f"the fields {', '.join(field.name for field in fields(MediaOptions))}"
        )
    return options or MediaOptions()
