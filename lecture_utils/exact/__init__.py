"""The exact sweep of an occluder: only what a covered square can change is computed again."""
