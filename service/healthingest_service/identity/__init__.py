"""
Authentication and rate limits: principals, scopes, tokens, throttling rules, and their ports.

Pure rules and ports; no HTTP framework, no database, no Redis.
"""
