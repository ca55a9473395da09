"""Spikes, behaviour and trials of one recording session, and the windows cut from them."""
