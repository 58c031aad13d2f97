"""Choose, join, split and expand particles of lists."""
