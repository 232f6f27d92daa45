"""Where in a schema something is: for people a path of fields, for programs a JSON pointer (RFC 6901)."""

from dataclasses import dataclass, replace
from typing import Final

from avrogate.verdict import Cause, Code, Finding, RefusedError

MAX_PLACE_CHARACTERS: Final = 1_024
"""Of a path or a pointer in a finding."""

Step = str | int
"""An attribute that the specification names, or an index: never a key that somebody made up."""


@dataclass(frozen=True, slots=True)
class Place:
    """`path` has names of fields; `nearest_name` is the valid name that is nearest to the place."""

    path: tuple[str, ...] = ()
    pointer: str = ""
    nearest_name: str | None = None

    def at(self, *steps: Step) -> "Place":
        """The place *steps* further down."""
        return replace(self, pointer="".join((self.pointer, *(f"/{step}" for step in steps)))) if steps else self

    def within(self, name: str | None) -> "Place":
        """The same place, with *name* as the nearest, if there is one."""
        return self if name is None else replace(self, nearest_name=name)

    def field(self, name: str) -> "Place":
        """The same place, in the field *name* of the record that it is in."""
        full = f"{self.nearest_name}.{name}" if self.nearest_name else name
        return Place((*self.path, name), self.pointer, full)

    def refusal(self, code: Code, cause: Cause | None = None) -> RefusedError:
        """A refusal for what stands here."""
        path = ".".join(self.path)[:MAX_PLACE_CHARACTERS] or None
        pointer = self.pointer
        if len(pointer) > MAX_PLACE_CHARACTERS:  # to a place around this one
            pointer = pointer[: pointer.rindex("/", 0, MAX_PLACE_CHARACTERS + 1)]
        return RefusedError(Finding(code, path=path, pointer=pointer, nearest_name=self.nearest_name, cause=cause))
