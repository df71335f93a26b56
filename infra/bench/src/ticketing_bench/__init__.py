"""What the market costs: each route beside the least that could do its job on the same server and store."""
