"""Log lines and metrics of the operator."""
