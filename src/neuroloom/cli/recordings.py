"""x"""
from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class Check:
    """Do Check."""
    out: int = 1
    def __call__(self): print(self)
@dataclass(frozen=True, kw_only=True)
class Sort:
    """Do Sort."""
    out: int = 1
    def __call__(self): print(self)
