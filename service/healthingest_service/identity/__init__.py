"""
Who is asking: principals, scopes, tokens, throttling rules, and the ports they need.

Pure rules and ports. No HTTP framework, no database, no Redis.
"""
