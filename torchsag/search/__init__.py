"""Where to start: rotational and translational matching over all poses."""
