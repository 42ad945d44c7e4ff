"""The gate's own pages on the local network; the program works the same without them."""
