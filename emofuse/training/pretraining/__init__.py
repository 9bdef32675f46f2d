"""Pretraining: encoders that learn from unlabelled data of a corpus before a recipe trains them on its labels."""
