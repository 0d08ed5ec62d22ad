"""The Android demo's documents and texts: what they point at is there, in each language."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.single_backend

DEMO = Path(__file__).parents[2] / "android_demo"
RESOURCES = DEMO / "app" / "src" / "main" / "res"
ANCHOR = re.compile(
    r"\[`(?P<name>[\w.]+):(?P<line>\d+)`\]\((?P<path>[^)#]+)#L(?P=line)\) `(?P<text>[^`]+)`"
)
README = (DEMO / "README.md").read_text(encoding="utf-8")


def texts(language: str) -> dict[str, str]:
    tree = ElementTree.parse(RESOURCES / language / "strings.xml")
    return {entry.attrib["name"]: entry.text or "" for entry in tree.getroot()}


def test_every_line_of_the_comparison_with_the_sample_is_where_it_says():
    anchors = list(ANCHOR.finditer(README))
    assert len(anchors) == README.count("#L") >= 30
    for anchor in anchors:
        path = DEMO / anchor["path"]
        assert path.name == anchor["name"]
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [number for number, line in enumerate(lines, 1) if anchor["text"] in line]
        assert int(anchor["line"]) in found, f"{anchor[0]}: it is on {found}"


def test_both_languages_have_the_same_texts_with_the_same_places():
    english, german = texts("values"), texts("values-de")
    assert english.keys() == german.keys()
    for name, text in english.items():
        place = re.compile(r"%\d\$[.\d]*\w")
        assert sorted(place.findall(text)) == sorted(place.findall(german[name])), name
        assert german[name], name


def test_every_text_is_used():
    sources = [*DEMO.glob("app/src/main/**/*.kt"), *DEMO.glob("app/src/main/**/*.xml")]
    used = set().union(
        *(
            re.findall(
                r"(?:(?<!android\.)R\.string\.|@string/)(\w+)", path.read_text(encoding="utf-8")
            )
            for path in sources
        )
    )
    assert texts("values").keys() == used
