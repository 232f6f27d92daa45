"""A place in a schema: a path of fields for people, a JSON pointer (RFC 6901) for programs."""

from typing import Final, NamedTuple

from avrogate.results import Cause, Code, Finding, RefusedError

MAX_PLACE_CHARACTERS: Final = 1_024
"""The longest path or pointer in a finding."""

Step = str | int
"""An attribute of the specification, or an index; never a key that the author of the file chose."""


class Place(NamedTuple):
    """
    A place: `path` has the names of fields; `steps` lead through the JSON of `file`.

    `nearest_name` is the nearest valid name. The class is a tuple, because the parser creates
    several places for each field of each file; text is created only for a finding.
    """

    path: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    nearest_name: str | None = None
    file: str = ""

    @property
    def pointer(self) -> str:
        """The JSON pointer, after the file's name and `#` if there are several files."""
        return self.file + "".join(f"/{step}" for step in self.steps)

    def at(self, *steps: Step) -> "Place":
        """Return the place that *steps* lead to from here."""
        return Place(self.path, self.steps + steps, self.nearest_name, self.file)

    def within(self, name: str | None) -> "Place":
        """Return the same place with *name* as the nearest name, unless it is None."""
        return Place(self.path, self.steps, name or self.nearest_name, self.file)

    def field(self, name: str) -> "Place":
        """Return the same place, as part of the field *name*."""
        full = f"{self.nearest_name}.{name}" if self.nearest_name else name
        return Place((*self.path, name), self.steps, full, self.file)

    def refusal(self, code: Code, cause: Cause | None = None) -> RefusedError:
        """Return a refusal with a finding at this place."""
        path = ".".join(self.path)[:MAX_PLACE_CHARACTERS] or None
        pointer = self.pointer
        if len(pointer) > MAX_PLACE_CHARACTERS:  # to an enclosing place
            pointer = pointer[: pointer.rindex("/", 0, MAX_PLACE_CHARACTERS + 1)]
        return RefusedError(
            Finding(code, path=path, pointer=pointer, nearest_name=self.nearest_name, cause=cause)
        )
