"""Explanations: Shapley values per modality, integrated gradients per word, moment and face region."""
