"""
The port `Gate`: validation of Avro files in worker processes.

`pool` manages the worker processes, and `worker` is their program. `file_validation` is the side of
the server for one file, and `frames` the protocol between server and worker.
"""
