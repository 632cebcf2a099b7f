"""What makes a process of tests patient, in a folder of its own to stand on its path."""
