"""From files, arrays and strings to segments: decoding, voice activity, faces, transcripts."""
