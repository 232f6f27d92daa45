"""The errors of the consumer kit. None contains a secret, or a value of a file."""


class ConsumerError(Exception):
    """The base class of all errors of the kit."""


class AlreadyProcessedError(ConsumerError):
    """Another consumer has processed the upload meanwhile; this one's transaction has no effect."""


class ProcessedUnavailableError(ConsumerError):
    """The store of processed uploads gave no clear answer."""


class FileGoneError(ConsumerError):
    """The file does not exist any more: it was erased or lost, or you may not read it."""


class FileMismatchError(ConsumerError):
    """The file has other bytes than those that were announced."""


class RecordsUnreadableError(ConsumerError):
    """
    The records cannot be read, although the file is as announced.

    The package of its codec is missing, or fastavro does not support its schema.
    """


class FileUnavailableError(ConsumerError):
    """The file cannot be read now; repeating later is safe."""
