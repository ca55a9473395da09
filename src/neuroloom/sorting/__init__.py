"""From voltage to units."""
