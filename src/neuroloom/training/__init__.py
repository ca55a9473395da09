"""One training loop for every torch model: resumable to the bit, and the same under torchrun.

Needs torch, so its names are imported from their modules: ``from neuroloom.training.loop import train``.
"""
