"""The Python interpreters that gort is for: found on the machine, or made in the user's cache."""
