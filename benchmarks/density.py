"""Measure how hard functions are to read: complexity, long conditions, nested conditionals.

`house` and the tests use it.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "ai_coordination_engine"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
MOST_COMPLEX = 10
MOST_PARTS = 3
MOST_LINES = 40
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.Assert)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function, including nested ones."""
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function, without decorators and its docstring."""
    lines = function.body[-1].end_lineno or function.lineno
    total = lines - function.lineno + 1
    if ast.get_docstring(function) is None:
        return total
    docstring = function.body[0]
    return total - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def complexity(function: ast.AST) -> int:
    """Return the cyclomatic complexity (McCabe) of a function, with boolean operators counted.

    Nested functions are not included; they are measured on their own.
    """
    total, left = 1, [*ast.iter_child_nodes(function)]
    while left:
        node = left.pop()
        if isinstance(node, FUNCTIONS):
            continue
        total += isinstance(node, _BRANCHES)
        total += len(node.values) - 1 if isinstance(node, ast.BoolOp) else 0
        total += len(node.cases) - 1 if isinstance(node, ast.Match) else 0
        total += len(node.generators) if isinstance(node, _COMPREHENSIONS) else 0
        left.extend(ast.iter_child_nodes(node))
    return total


def nested_ternaries(tree: ast.AST) -> Iterator[ast.IfExp]:
    """Yield each conditional expression that contains another one."""
    ternaries = [node for node in ast.walk(tree) if isinstance(node, ast.IfExp)]
    return (
        node
        for node in ternaries
        if sum(isinstance(each, ast.IfExp) for each in ast.walk(node)) > 1
    )


def long_conditions(tree: ast.AST) -> Iterator[ast.BoolOp]:
    """Yield each boolean expression with more than `MOST_PARTS` unnamed parts."""
    return (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.BoolOp) and _parts(node) > MOST_PARTS
    )


def _parts(node: ast.AST) -> int:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return _parts(node.operand)
    return sum(map(_parts, node.values)) if isinstance(node, ast.BoolOp) else 1
