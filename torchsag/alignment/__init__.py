"""Aligners: search then refinement against one reference, one file per method."""
