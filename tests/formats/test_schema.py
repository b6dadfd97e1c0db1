"""Label schemas as files give them, and as one is added to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segue.errors import PromptError, SegueError
from segue.formats.schema import read_schema, schema_of

COLOUR = {"name": "paint", "type": "choice", "values": ["red", "blue"]}
OCCLUDED = {"name": "occluded", "type": "check", "of": "frame"}


def test_a_file_defines_classes_and_attributes(tmp_path: Path) -> None:
    given = {"classes": [{"name": "car", "colour": "#FF0000", "key": "C", "attributes": [COLOUR]}]}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(given | {"attributes": [OCCLUDED]}))
    schema = read_schema(path)

    assert schema.names == ("car",)
    assert (schema.classes[0].colour, schema.classes[0].key) == ("#ff0000", "c")
    assert [one.name for one in schema.attributes_of("car")] == ["occluded", "paint"]
    assert [one.name for one in schema.attributes_of(None)] == ["occluded"]
    assert schema_of(schema.as_json()) == schema


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"classes": [{"name": "car"}, {"name": "car"}]}, "car"),
        ({"classes": [{"name": "car", "key": "1"}, {"name": "bus", "key": "1"}]}, "key 1"),
        ({"classes": [{"name": "car", "attributes": [OCCLUDED]}], "attributes": [OCCLUDED]}, "occluded"),
        ({"attributes": [{"name": "paint", "type": "choice"}]}, "paint"),
        ({"attributes": [{"name": "group"}]}, "group"),
        ({"attributes": [{"name": "a", "kind": "text"}]}, "kind"),
        ({"classes": [{"name": "car", "colour": "red"}]}, "colour"),
        ({"classes": [{"name": ""}]}, "classes.0.name"),
        ([], "label schema"),
    ],
)
def test_a_schema_that_is_not_clear_is_refused(values: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(SegueError):
        schema_of(values)
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(values))
    with pytest.raises(SegueError, match=rf"schema\.json: .*{named}"):
        read_schema(path)


def test_values_are_those_of_the_schema_and_other_attributes_may_be_anything() -> None:
    schema = schema_of({"classes": [{"name": "car", "attributes": [COLOUR]}], "attributes": [OCCLUDED]})
    schema.check("car", {"paint": "red", "plate": "X 1"}, "object")
    schema.check("bus", {"paint": "green"}, "object")
    schema.check("bus", {"occluded": "true"}, "frame")
    for attributes, of, named in (
        ({"paint": "green"}, "object", "red, blue"),
        ({"occluded": "yes"}, "frame", "true, false"),
        ({"occluded": "true"}, "object", "occluded"),
    ):
        with pytest.raises(PromptError, match=named):
            schema.check("car", attributes, of)


def test_a_schema_gets_what_it_lacks_and_keeps_what_it_has() -> None:
    own = schema_of({"classes": [{"name": "car", "key": "1", "colour": "#000001"}], "attributes": [OCCLUDED]})
    other = schema_of(
        {
            "classes": [
                {"name": "car", "colour": "#000002", "attributes": [COLOUR, OCCLUDED]},
                {"name": "bus", "key": "1", "attributes": [COLOUR]},
            ]
        }
    )
    both = own.with_additions(other)

    assert both.names == ("car", "bus")
    assert [one.colour for one in both.classes] == ["#000001", None]
    assert [one.key for one in both.classes] == ["1", None]
    assert [one.name for one in both.attributes_of("car")] == ["occluded", "paint"]
    assert both.with_additions(other) == both
    assert own.with_classes(["bus", "car"]).classes[1] == own.classes[0]
