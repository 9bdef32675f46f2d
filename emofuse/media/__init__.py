"""Media: files, arrays and strings to segments, by decoding, voice activity, faces and transcripts."""
