"""Picks: positions in one tomogram, as picking programs and annotation archives write them."""

from torchsag.io.picks.readers import holds_picks, read_picks

__all__ = ["holds_picks", "read_picks"]
