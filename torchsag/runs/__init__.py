"""What all runs share: folders, checkpoints, provenance, metrics, chunked alignment and sums."""
