"""The page's chapter about the dynamics of the trials."""
