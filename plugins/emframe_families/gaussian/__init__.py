"""Normal rows: fourteen structures of covariance, ways past the rows, gaps."""
