"""x"""
from dataclasses import dataclass
@dataclass(frozen=True, kw_only=True)
class Adapt:
    """Do Adapt."""
    out: int = 1
    def __call__(self): print(self)
@dataclass(frozen=True, kw_only=True)
class Fit:
    """Do Fit."""
    out: int = 1
    def __call__(self): print(self)
@dataclass(frozen=True, kw_only=True)
class Predict:
    """Do Predict."""
    out: int = 1
    def __call__(self): print(self)
@dataclass(frozen=True, kw_only=True)
class Score:
    """Do Score."""
    out: int = 1
    def __call__(self): print(self)
