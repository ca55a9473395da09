"""Which of how many training processes this one is, and on which device it computes."""

import atexit
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from neuroloom.errors import DataError


@dataclass(frozen=True)
class Processes:
    """This process among those that ``torchrun`` started together; alone without it.

    Attributes
    ----------
    rank, n_processes
        This process's number, from 0, and how many there are.
    device
        The device it computes on.
    """

    rank: int
    n_processes: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes the files and draws the progress bar."""
        return self.rank == 0

    def seed(self, seed: int) -> None:
        """Set torch's own generator, which dropout draws from, on this device."""
        # torch.manual_seed also visits every absent accelerator, formatting a traceback each time.
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Return `values` summed over the processes; every process gets the same bits."""
        if self.n_processes > 1:
            dist.all_reduce(values)
            dist.broadcast(values, src=0)
        return values

    def agree(self, value: int) -> int:
        """Return the first process's `value`."""
        if self.n_processes == 1:
            return value
        agreed = torch.tensor(value, dtype=torch.int64, device=self.device)
        dist.broadcast(agreed, src=0)
        return int(agreed)


def join(device: str = "auto") -> Processes:
    """Join the processes that torchrun's environment variables describe.

    Raises
    ------
    DataError
        If the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise DataError(
            f"device {device!r} is not there", expected="a machine with CUDA", remedy='pass device="cpu"'
        )
    n_processes = int(os.environ.get("WORLD_SIZE", 1))
    if n_processes == 1:
        return Processes(0, 1, chosen)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        atexit.register(dist.destroy_process_group)
    return Processes(dist.get_rank(), n_processes, chosen)


@contextlib.contextmanager
def borrowed_randomness(device: torch.device, *, deterministic: bool) -> Iterator[None]:
    """Let the block seed torch's global generators and choose algorithms; restore the caller's after it."""
    devices = [device] if device.type == "cuda" else []
    before = torch.are_deterministic_algorithms_enabled()
    if deterministic:
        # cuBLAS reads this when its first handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
