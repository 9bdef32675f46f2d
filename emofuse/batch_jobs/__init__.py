"""Batch jobs: many clips into a folder of parts, each exactly once, by whatever carries them.

inputs (files, folders, globs, addresses, tables) → plan (plan.parquet: a row an item, cut into shards)
shard → segments/part-*.parquet, then clips/part-*.parquet, whose presence is the commit
carriers: this process, worker processes, Ray: each runs whole shards and holds the shard's lock meanwhile
"""
