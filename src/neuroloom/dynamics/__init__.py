"""Mixtures of linear dynamical systems."""
