"""
The edge out: one module per outside system, named after it.

An adapter takes plain keyword values, opens in `async with`, gives each call a deadline, and turns
its library's errors into ours (`from`); unknown ones rise. It reads no settings and knows no other
adapter.
"""
