"""
The kubectl plugin `kubectl healthingest`.

It knows the contract and the pure packages of the operator (`api`, `resources`, `status`), which
need neither kopf nor a Kubernetes client. `main` is the composition root, `commands` has the
commands; `kubectl` and `kubernetes_api` do I/O; `observe` reads the cluster into a `Snapshot`;
`operator_state`, `explain`, `status_tree`, `desired`, `diff` and `redaction` are pure.
"""
