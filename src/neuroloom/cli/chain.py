"""x"""
from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class Demo:
    """Do Demo."""
    out: int = 1
    def __call__(self): print(self)
@dataclass(frozen=True, kw_only=True)
class Report:
    """Do Report."""
    out: int = 1
    def __call__(self): print(self)
@dataclass(frozen=True, kw_only=True)
class Run:
    """Do Run."""
    out: int = 1
    def __call__(self): print(self)
