"""
Private instances of real servers, one module each.

Started on free ports of loopback, ended with the test run.

None of them touches a server of the machine. A program is looked for among the installed Debian
packages, then in a container engine; where neither is to be had, the tests that need it are
skipped, with the reason, and counted.
"""
