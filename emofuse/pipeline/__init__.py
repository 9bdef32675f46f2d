"""The pipeline: from a clip, a recording, a picture or a text to predictions."""
