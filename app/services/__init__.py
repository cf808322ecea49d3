"""Use cases: the only floor that writes rows."""
