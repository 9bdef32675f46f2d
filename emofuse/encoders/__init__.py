"""Each modality's road from a segment to tokens."""
