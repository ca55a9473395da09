"""x"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AuditArrays:
    """Do AuditArrays."""

    out: int = 1

    def __call__(self):
        print(self)


@dataclass(frozen=True, kw_only=True)
class AuditDecoder:
    """Do AuditDecoder."""

    out: int = 1

    def __call__(self):
        print(self)


@dataclass(frozen=True, kw_only=True)
class AuditImages:
    """Do AuditImages."""

    out: int = 1

    def __call__(self):
        print(self)
