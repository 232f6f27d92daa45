"""What the plugin raises: each message names the place and the remedy."""


class PluginError(Exception):
    """Root of the tree; its text is for the user."""


class KubectlError(PluginError):
    """kubectl is missing, or cannot use its kubeconfig."""


class DeadlineError(PluginError):
    """Something that `--wait` waits for did not happen in time."""


class NotInstalledError(PluginError):
    """The cluster has no CustomResourceDefinition of HealthIngests."""


class NotFoundError(PluginError):
    """There is no such HealthIngest."""


class ApiError(PluginError):
    """The API server refused a request (`status`), or did not answer (0)."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
