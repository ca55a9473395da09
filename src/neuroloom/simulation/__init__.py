"""Known truth: cells, electrodes, recordings, populations, dynamical systems."""
