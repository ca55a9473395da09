"""From spikes to behaviour."""
