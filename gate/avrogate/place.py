"""
Where in a schema something is.

For people a path of fields, for programs a JSON pointer (RFC 6901).
"""

from typing import Final, NamedTuple

from avrogate.results import Cause, Code, Finding, RefusedError

MAX_PLACE_CHARACTERS: Final = 1_024
"""Of a path or a pointer in a finding."""

Step = str | int
"""An attribute that the specification names, or an index: never a key that somebody made up."""


class Place(NamedTuple):
    """
    `path` has names of fields, `steps` lead through the JSON of `file`.

    `nearest_name` is the valid name nearest to it.

    A tuple, for some are made for each field of each file; it becomes text when something is wrong.
    """

    path: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    nearest_name: str | None = None
    file: str = ""

    @property
    def pointer(self) -> str:
        """The JSON pointer; behind the file's name and `#` where there are several."""
        return self.file + "".join(f"/{step}" for step in self.steps)

    def at(self, *steps: Step) -> "Place":
        """The place *steps* further down."""
        return Place(self.path, self.steps + steps, self.nearest_name, self.file)

    def within(self, name: str | None) -> "Place":
        """The same place, with *name* as the nearest, if there is one."""
        return Place(self.path, self.steps, name or self.nearest_name, self.file)

    def field(self, name: str) -> "Place":
        """The same place, in the field *name* of the record that it is in."""
        full = f"{self.nearest_name}.{name}" if self.nearest_name else name
        return Place((*self.path, name), self.steps, full, self.file)

    def refusal(self, code: Code, cause: Cause | None = None) -> RefusedError:
        """A refusal for what stands here."""
        path = ".".join(self.path)[:MAX_PLACE_CHARACTERS] or None
        pointer = self.pointer
        if len(pointer) > MAX_PLACE_CHARACTERS:  # to a place around this one
            pointer = pointer[: pointer.rindex("/", 0, MAX_PLACE_CHARACTERS + 1)]
        return RefusedError(
            Finding(code, path=path, pointer=pointer, nearest_name=self.nearest_name, cause=cause)
        )
