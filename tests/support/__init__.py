"""
What tests share.

Builders of values and files, fakes of the ports, private instances of real servers.
"""
