"""What is on a micrograph besides particles and ice: where it lies, and whether the micrograph is any good."""
