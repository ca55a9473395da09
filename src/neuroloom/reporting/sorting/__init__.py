"""The page's chapter about the sorted units."""
