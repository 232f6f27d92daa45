"""
The port `Gate`: validation of Avro files in worker processes.

`pool` keeps the workers, `file_validation` is one file in the server, `frames` is the protocol
between the two, and `worker` is the program of a worker.
"""
