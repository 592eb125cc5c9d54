"""What programs build from groups: several calls at once, and one that is restarted."""
