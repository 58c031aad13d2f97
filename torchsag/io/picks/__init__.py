"""Picks: positions in one tomogram, as picking programs and annotation archives write them."""

from torchsag.io.picks.readers import read_picks

__all__ = ["read_picks"]
