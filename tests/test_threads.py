import subprocess
import sys

import pytest

SHOW = """
import os, sys
from neuroloom.cli import main
assert "torch" not in sys.modules
try:
    main(["--help"])
except SystemExit:
    pass
print("policy", os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_waiting_threads_sleep_on_the_command_line_unless_the_user_says_otherwise(
    monkeypatch, given, expected
):
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    shown = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert f"policy {expected}" in shown.stdout
