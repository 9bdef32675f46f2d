"""What a run leaves: report, card, results tables, ensembles, recalibration."""
