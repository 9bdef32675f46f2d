"""The public road from a clip, a recording, a picture or a text to its emotions."""
