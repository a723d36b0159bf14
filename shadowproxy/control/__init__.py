"""What one process knows of all others: their counts, their examples, the names of their upstreams."""
