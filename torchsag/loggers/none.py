"""No log beside what a run writes anyway."""

from dataclasses import dataclass

from torchsag.loggers.book import Started


@dataclass(frozen=True)
class NoLogger:
    """Keeps nothing."""

    def open(self, run: Started) -> None:
        """No book."""
        return
