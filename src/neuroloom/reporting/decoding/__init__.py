"""The page's chapter about a decoder."""
