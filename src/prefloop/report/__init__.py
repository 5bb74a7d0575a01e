"""Report: one self-contained HTML page and one summary.json about a pipeline folder."""
