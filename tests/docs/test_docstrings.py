"""Docstrings that describe parameters describe all of them; the reference describes all of its members."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

import pytest

import segue

SOURCE = Path(segue.__file__).parent.parent
FILES = sorted(path for package in SOURCE.glob("segue*") for path in package.rglob("*.py"))

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef

_ARGS = re.compile(r"^Args:\n((?:    .*\n?|\n)*)", re.MULTILINE)
_NAMES = re.compile(r"^    \*{0,2}(\w+):", re.MULTILINE)  # what the reference can show: one name a line


def undescribed(tree: ast.AST) -> Iterator[str]:
    """Parameters that the section ``Args`` of a public function leaves out, or that it has beyond them."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        section = _ARGS.search((ast.get_docstring(node) or "") + "\n")
        if section is None:
            continue
        described = set(_NAMES.findall(section[1]))
        listed = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        listed += [extra for extra in (node.args.vararg, node.args.kwarg) if extra is not None]
        known = {item.arg for item in listed} - {"self", "cls"}
        if known != described:
            yield f"{node.name}: {sorted(known ^ described)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_args_are_those_of_the_signature(path: Path) -> None:
    assert list(undescribed(ast.parse(path.read_text(encoding="utf-8")))) == []


PAGES = SOURCE.parent / "docs" / "api"


def members_of_the_reference() -> dict[str, object]:
    """Functions and classes that the pages of the reference show, those of whole modules included."""
    shown = [
        name
        for page in sorted(PAGES.glob("*.md"))
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    found = {name: of(name) for name in shown}
    for name, module in list(found.items()):
        if inspect.ismodule(module):
            own = {key: value for key, value in vars(module).items() if not key.startswith("_")}
            found |= {
                f"{name}.{key}": value
                for key, value in own.items()
                if inspect.isclass(value) and value.__module__ == name
            }
    return found


def of(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError:  # a member of a class
        return None


FUNCTIONS = {name: value for name, value in members_of_the_reference().items() if inspect.isfunction(value)}
CLASSES = {name: value for name, value in members_of_the_reference().items() if inspect.isclass(value)}


@dataclass(frozen=True)
class Method:
    """A public method, or a function without its class; ``parameters`` are those that a caller gives."""

    function: FunctionType
    parameters: tuple[str, ...]

    @property
    def needed(self) -> set[str]:
        """Sections that its description must have."""
        returned = inspect.signature(self.function).return_annotation
        needed = {
            "Args": bool(self.parameters),
            "Returns|Yields": returned not in (None, "None", "NoReturn"),
            "Raises": raises(self.function),
        }
        return {name for name, is_needed in needed.items() if is_needed}

    def has(self, section: str) -> bool:
        text = inspect.cleandoc(self.function.__doc__ or "")
        return re.search(rf"\n({section}):\n", text) is not None


def raises(function: FunctionType) -> bool:
    """Whether it raises an error itself, other than for what a subclass has to do."""
    body = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    raised = [node.exc for node in ast.walk(body) if isinstance(node, ast.Raise) and node.exc is not None]
    names = [ast.unparse(error.func) for error in raised if isinstance(error, ast.Call)]
    return any(name.endswith("Error") for name in names)


def method(owner: type, name: str) -> Method | None:
    """What the body of a class has under a name, if it is a function."""
    value = vars(owner).get(name)
    function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    if not isinstance(function, FunctionType) or name in getattr(owner, "__dataclass_fields__", {}):
        return None
    names = tuple(inspect.signature(function).parameters)
    return Method(function, names if isinstance(value, staticmethod) else names[1:])


def public_methods(owner: type) -> set[str]:
    return {name for name in vars(owner) if not name.startswith("_") and method(owner, name) is not None}


INTERFACES = [value for value in CLASSES.values() if getattr(value, "_is_protocol", False)]


def interfaces(owner: type) -> Iterator[type]:
    """Protocols all of whose methods a class has, without naming them as its bases."""
    for interface in INTERFACES:
        names = set().union(*(public_methods(base) for base in interface.__mro__))
        if all(hasattr(owner, name) for name in names):
            yield interface


def lacking(owner: type, name: str) -> list[str]:
    """Sections that neither a method has nor one which it overrides or implements."""
    own = method(owner, name)
    assert own is not None
    implemented = [base for item in interfaces(owner) for base in item.__mro__]
    others = [method(base, name) for base in (*owner.__mro__[1:], *implemented)]
    same = [own, *(found for found in others if found is not None and found.parameters == own.parameters)]
    return sorted(section for section in own.needed if not any(found.has(section) for found in same))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_the_reference_say_what_they_take_and_return(name: str) -> None:
    function = FUNCTIONS[name]
    described = Method(function, tuple(inspect.signature(function).parameters))
    assert [section for section in sorted(described.needed) if not described.has(section)] == []


COMMANDS = SOURCE / "segue" / "cli"
"""Functions of commands, of at most 1,800 lines, see tests/docs/test_packages.py."""


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if COMMANDS not in path.parents],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_public_functions_say_what_they_take_and_return(path: Path) -> None:
    assert list(undescribed_functions(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "text", ["def f(x: int) -> None: ...", "def f() -> int: ...", "def f():\n raise TypeError()"]
)
def test_a_function_without_its_sections_is_noticed(text: str) -> None:
    assert len(list(undescribed_functions(ast.parse(text)))) == 1
    assert list(undescribed_functions(ast.parse(text.replace("def f", "def _f")))) == []


TYPED = re.compile(r"\btyper\.(Option|Argument)\b")
"""What a function has that is a command."""


def undescribed_functions(tree: ast.Module) -> Iterator[str]:
    """Public functions of a module whose parameters, results or errors no section describes."""
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        if decorators(node) & {"overload", "training"} or TYPED.search(ast.unparse(node.args)):
            continue  # the docstring of a command is its help, and its options have texts of their own
        yield from (f"{node.name}: {section}" for section in missing_sections(node, ast.unparse(node.args)))


def decorators(node: AnyFunction) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}


def missing_sections(node: AnyFunction, parameters: str) -> list[str]:
    """Sections that a function with these parameters needs and does not have."""
    returned = "None" if node.returns is None else ast.unparse(node.returns)
    raised = [item.exc for item in ast.walk(node) if isinstance(item, ast.Raise)]
    needed = {
        "Args": bool(parameters),
        "Returns|Yields": returned not in ("None", "NoReturn"),
        "Raises": any(isinstance(e, ast.Call) and ast.unparse(e.func).endswith("Error") for e in raised),
    }
    text = ast.get_docstring(node) or ""
    found = {section for section in needed if re.search(rf"^({section}):$", text, re.MULTILINE)}
    return [section for section, is_needed in needed.items() if is_needed and section not in found]


def shapeless_layers(tree: ast.Module) -> Iterator[str]:
    """Layers whose ``forward`` takes tensors, and which say of no shape what goes in or comes out."""
    for owner in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node in (node for node in owner.body if isinstance(node, ast.FunctionDef)):
            texts = (ast.get_docstring(node) or "") + (ast.get_docstring(owner) or "")
            takes_tensors = node.name == "forward" and "Tensor" in ast.unparse(node.args)
            if takes_tensors and owner.name[0] != "_" and not re.search(r"\([^()]*, [^()]*\)", texts):
                yield owner.name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_layers_state_the_shapes_of_their_tensors(path: Path) -> None:
    assert list(shapeless_layers(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("name", CLASSES)
def test_methods_of_the_reference_say_what_they_take_and_return(name: str) -> None:
    owners = [base for base in CLASSES[name].__mro__ if base.__module__.startswith("segue")]
    found = {
        f"{owner.__name__}.{member}": lacking(owner, member)
        for owner in owners
        for member in sorted(public_methods(owner))
    }
    assert {member: sections for member, sections in found.items() if sections} == {}


@pytest.mark.parametrize("name", CLASSES)
def test_properties_of_the_reference_have_a_sentence(name: str) -> None:
    owner = CLASSES[name]
    own = [base for base in owner.__mro__ if base.__module__.startswith("segue")]
    names = {key for base in own for key, value in vars(base).items() if isinstance(value, property)}
    assert [key for key in sorted(names) if not key.startswith("_") and not sentence(owner, key)] == []


def sentence(owner: type, name: str) -> str:
    """Docstring of a property, or of that which it overrides or implements."""
    bases = [*owner.__mro__, *(base for item in interfaces(owner) for base in item.__mro__)]
    return next((text for base in bases if (text := getattr(vars(base).get(name), "__doc__", None))), "")
