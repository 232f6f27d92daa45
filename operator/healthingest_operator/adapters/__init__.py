"""
The edge out: the only code that talks.

One module per outside system; libraries' errors become ours here.
"""
