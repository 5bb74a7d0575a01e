"""Files in and out: atomic writes, JSONL and Parquet, fingerprints, foreign schemas."""
