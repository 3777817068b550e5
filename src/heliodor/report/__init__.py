"""The report of a run: one HTML file to look at, to keep and to send, written from the files of the run."""
