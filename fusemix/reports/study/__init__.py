"""Figures of a study's jobs: means and spreads over seeds, as tables, as data, and drawn."""
