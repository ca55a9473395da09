"""The table of faults names a test for each of them, and each of these tests exists."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
N_FAULTS = 22


def rows() -> dict[int, list[str]]:
    lines = re.findall(r"(?m)^\| (\d+) \| .* \| (.*) \|$", (HERE / "README.md").read_text())
    return {int(number): tests.split(", ") for number, tests in lines}


def test_every_fault_has_a_test_that_exists():
    table = rows()
    assert list(table) == list(range(1, N_FAULTS + 1))
    for number, tests in table.items():
        for name in tests:
            file, _, function = name.partition("::")
            found = [node.name for node in ast.parse((HERE / file).read_text()).body if hasattr(node, "name")]
            assert function in found, f"row {number}: {name} does not exist"
