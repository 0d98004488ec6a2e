"""Shows a run, of this machine or of a workspace, finished or going on: in the terminal, or as one HTML page."""
