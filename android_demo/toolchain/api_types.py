"""Since which API level Android's members exist, read off npm's `@nativescript/types-android`.

TypeScript's declarations of all of Android's and Java's classes there, with `@since` at what is
newer than API 21.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_SCOPE = re.compile(
    r"(?:declare |export |abstract |default )*(?P<kind>module|class|interface) (?P<name>[\w.$]+)"
    r"(?P<rest>.*)\{$"
)
_MEMBER = re.compile(r"public (?:static |abstract )*(\w+)")


@dataclass
class ApiClass:
    """A class of the platform."""

    since: int
    supertypes: list[str]
    members: dict[str, int] = field(default_factory=dict)
    """Since when; of several overloads the oldest. Constructors are `<init>`."""


def read_api_types(path: Path) -> dict[str, ApiClass]:
    """Reads the declarations; names of nested classes are joined by dots."""
    classes: dict[str, ApiClass] = {}
    scopes: list[tuple[str, int]] = [("", 1)]
    comment = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith(("/**", "*")):
            comment = text if text.startswith("/**") else comment + text
            continue
        stated = re.search(r"@since (\d+)", comment)
        since = max(int(stated[1]) if stated else 1, scopes[-1][1])
        comment = ""
        if scope := _SCOPE.match(text):
            name = ".".join(part for part in (scopes[-1][0], scope["name"]) if part)
            scopes.append((name, since))
            if scope["kind"] != "module":
                classes.setdefault(name, ApiClass(since, _supertypes(scope["rest"])))
        elif text.startswith("}"):
            scopes.pop()
        else:
            if (member := _MEMBER.match(text)) and scopes[-1][0] in classes:
                members = classes[scopes[-1][0]].members
                key = "<init>" if member[1] == "constructor" else member[1]
                members[key] = min(since, members.get(key, since))
            if text.endswith("{"):
                scopes.append(scopes[-1])
    return classes


def _supertypes(text: str) -> list[str]:
    while (plain := re.sub(r"<[^<>]*>", "", text)) != text:
        text = plain
    return re.findall(r"[\w$]+(?:\.[\w$]+)+", text)


def level(classes: dict[str, ApiClass], owner: str, member: str) -> int | None:
    """Since when a class has a member, its own or inherited; None if it is not known."""
    if owner not in classes:
        return None
    levels, seen, above = [], set(), [owner, "java.lang.Object"]
    while above:
        name = above.pop()
        if name in classes and name not in seen:
            seen.add(name)
            found = classes[name]
            if member in found.members:
                levels.append(max(found.since, found.members[member]))
            above.extend(found.supertypes)
    return max(classes[owner].since, min(levels)) if levels else None
