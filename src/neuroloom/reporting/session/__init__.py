"""The page's chapter about the session."""
