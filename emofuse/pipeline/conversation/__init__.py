"""Conversations: turns with their history, what changes from turn to turn, and acts that follow from it."""
