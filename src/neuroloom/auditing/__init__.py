"""How much of the brain a decoder or reconstruction really uses."""
