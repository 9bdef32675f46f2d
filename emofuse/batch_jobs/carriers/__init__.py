"""Carriers: who runs the shards of a job. All run the same engine and commit in the same way."""
