"""Where a run's numbers go while it runs: a table, TensorBoard, MLflow or Weights & Biases, on this machine."""

from torchsag.loggers.book import Book, Entry, Logger, Started, logged, note, skip, summary

__all__ = ["Book", "Entry", "Logger", "Started", "logged", "note", "skip", "summary"]
