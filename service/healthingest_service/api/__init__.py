"""
The HTTP edge.

It parses a request, calls a use case, and turns the result into a response. `problems` maps every
error to its response.
"""
