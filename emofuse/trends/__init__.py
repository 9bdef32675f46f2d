"""Trends: what is expressed over time, when it changed, and alerts at a rate of false alarms that one asks for."""
