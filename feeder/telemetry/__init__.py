"""What the feeder counts, out of the process: a memory-mapped file, and a program that serves it to Prometheus."""
