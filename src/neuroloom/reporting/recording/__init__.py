"""The page's chapter about the recording."""
