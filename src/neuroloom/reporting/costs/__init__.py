"""What sorting costs in decoding: rows over seeds, their figure and their section."""
