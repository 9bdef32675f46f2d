"""Encoders: one modality of a segment to tokens with seconds."""
