"""Fuzzing: mutated files of every kind that is read, none of which may crash, hang or end in a traceback."""
