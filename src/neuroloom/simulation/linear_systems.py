"""Linear dynamical systems with inputs: their parameters, random ones, and simulated mixtures of them.

x_{t+1} = A x_t + B u_t + w_t,  w ~ N(0, Q);    y_t = C x_t + D u_t + v_t,  v ~ N(0, R);    x_0 ~ N(mu0, P0).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg

from neuroloom.errors import DataError
from neuroloom.seeds import stream

InputKind = Literal["white", "ar", "binary", "none"]


@dataclass(frozen=True)
class LinearSystem:
    """Parameters of one linear dynamical system with n states, m inputs and p outputs.

    Attributes
    ----------
    A, B, C, D
        Arrays (n, n), (n, m), (p, n), (p, m).
    Q, R
        Covariances of the state noise (n, n) and of the output noise (p, p).
    mu0, P0
        Mean (n,) and covariance (n, n) of the first state.
    """

    A: np.ndarray
    B: np.ndarray
    C: np.ndarray
    D: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    mu0: np.ndarray
    P0: np.ndarray

    def __post_init__(self):
        for name in PARAMETERS:
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float64))
        n, m, p = self.A.shape[0], self.B.shape[-1], self.C.shape[0]
        expected = {
            "A": (n, n),
            "B": (n, m),
            "C": (p, n),
            "D": (p, m),
            "Q": (n, n),
            "R": (p, p),
            "mu0": (n,),
            "P0": (n, n),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise DataError(
                    f"{name} has shape {value.shape}",
                    expected=f"{shape} for {n} states, {m} inputs and {p} outputs",
                    remedy="check the shapes of A, B and C first",
                )
            if not np.isfinite(value).all():
                raise DataError(f"{name} is not finite", expected="finite numbers", remedy="check its source")

    @property
    def state_dim(self) -> int:
        """The number of states, n."""
        return self.A.shape[0]

    @property
    def input_dim(self) -> int:
        """The number of inputs, m."""
        return self.B.shape[1]

    @property
    def output_dim(self) -> int:
        """The number of outputs, p."""
        return self.C.shape[0]

    @property
    def spectral_radius(self) -> float:
        """The largest modulus of the eigenvalues of A."""
        return float(np.abs(np.linalg.eigvals(self.A)).max())

    def markov_parameters(self, n: int) -> np.ndarray:
        """Return the impulse response G(0) = D, G(j) = C A^(j-1) B as an array (n, p, m).

        It is what two systems must share to be the same system seen from outside.
        """
        response = np.empty((n, self.output_dim, self.input_dim))
        state = self.B
        for j in range(n):
            response[j] = self.D if j == 0 else self.C @ state
            state = self.A @ state if j else state
        return response

    def in_coordinates(self, transform: np.ndarray) -> "LinearSystem":
        """Return the same system with states ``transform @ x``."""
        inverse = np.linalg.inv(transform)
        return LinearSystem(
            A=transform @ self.A @ inverse,
            B=transform @ self.B,
            C=self.C @ inverse,
            D=self.D,
            Q=transform @ self.Q @ transform.T,
            R=self.R,
            mu0=transform @ self.mu0,
            P0=transform @ self.P0 @ transform.T,
        )

    def stationary_covariance(self, input_variance: float = 1.0) -> np.ndarray:
        """Return the covariance (n, n) that the state settles in under white inputs."""
        drive = self.Q + input_variance * self.B @ self.B.T
        return scipy.linalg.solve_discrete_lyapunov(self.A, drive)


PARAMETERS = ("A", "B", "C", "D", "Q", "R", "mu0", "P0")


@dataclass(frozen=True)
class MixtureSample:
    """Simulated trajectories and the truth behind them.

    Attributes
    ----------
    outputs, inputs, states
        Lists with one array (T_i, p), (T_i, m), (T_i, n) per trajectory.
    labels
        The component (N,) of each trajectory.
    systems
        The components.
    weights
        Their probabilities (K,).
    """

    outputs: list[np.ndarray]
    inputs: list[np.ndarray]
    states: list[np.ndarray]
    labels: np.ndarray
    systems: list[LinearSystem]
    weights: np.ndarray


def random_system(
    *,
    state_dim: int,
    input_dim: int = 1,
    output_dim: int = 1,
    radius: tuple[float, float] = (0.4, 0.85),
    snr_db: float = 10.0,
    feedthrough: bool = True,
    rng: np.random.Generator,
) -> LinearSystem:
    """Draw a stable system.

    Parameters
    ----------
    state_dim, input_dim, output_dim
        n, m and p.
    radius
        Range of the moduli of A's eigenvalues.
    snr_db
        Power of the outputs driven by white unit inputs over the power of the noise, in decibels; half of
        the noise power enters through the state, half at the output. Without inputs, the power of the
        state noise seen at the outputs over that of the output noise.
    feedthrough
        Whether D is drawn; otherwise it is zero.
    rng
        A generator, from `neuroloom.seeds.stream`.
    """
    n, m, p = state_dim, input_dim, output_dim
    modulus = rng.uniform(*radius, size=n)
    A = np.zeros((n, n))
    i = 0
    while i < n:
        if i + 1 < n and rng.random() < 0.7:
            angle = rng.uniform(0.15, 0.85) * np.pi
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
            A[i : i + 2, i : i + 2] = modulus[i] * turn
            i += 2
        else:
            A[i, i] = modulus[i] * rng.choice([-1.0, 1.0])
            i += 1
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    A = basis @ A @ basis.T
    B = rng.standard_normal((n, m))
    C = rng.standard_normal((p, n)) / np.sqrt(n)
    D = rng.standard_normal((p, m)) * 0.5 if feedthrough else np.zeros((p, m))
    state_noise = scipy.linalg.solve_discrete_lyapunov(A, np.eye(n))
    noise_ratio = 10 ** (-snr_db / 10)
    if m:
        driven = C @ scipy.linalg.solve_discrete_lyapunov(A, B @ B.T) @ C.T + D @ D.T
        noise_power = noise_ratio * np.trace(driven) / p
        q = 0.5 * noise_power * p / np.trace(C @ state_noise @ C.T)
        r = 0.5 * noise_power
    else:
        q, r = 1.0, noise_ratio * np.trace(C @ state_noise @ C.T) / p
    system = LinearSystem(A, B, C, D, q * np.eye(n), r * np.eye(p), np.zeros(n), np.eye(n))
    stationary = system.stationary_covariance()
    return LinearSystem(A, B, C, D, system.Q, system.R, system.mu0, 0.5 * (stationary + stationary.T))


def draw_inputs(
    kind: InputKind,
    *,
    n_trajectories: int,
    n_steps: int,
    input_dim: int,
    correlation: float = 0.5,
    rng: np.random.Generator,
) -> np.ndarray:
    """Draw unit-variance inputs (N, T, m): white Gaussian, AR(1) with `correlation`, or +-1."""
    shape = (n_trajectories, n_steps, 0 if kind == "none" else input_dim)
    if kind == "binary":
        return rng.integers(0, 2, size=shape) * 2.0 - 1.0
    inputs = rng.standard_normal(shape)
    if kind == "ar":
        for t in range(1, n_steps):
            inputs[:, t] = correlation * inputs[:, t - 1] + np.sqrt(1 - correlation**2) * inputs[:, t]
    return inputs


def simulate_system(
    system: LinearSystem, inputs: np.ndarray, *, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Simulate all trajectories of one system at once.

    Parameters
    ----------
    system
        The parameters.
    inputs
        Array (N, T, m); m may be zero.

    Returns
    -------
    outputs, states
        Arrays (N, T, p) and (N, T, n).
    """
    n_trajectories, n_steps, _ = inputs.shape
    state_root, output_root = _root(system.Q), _root(system.R)
    outputs = np.empty((n_trajectories, n_steps, system.output_dim))
    states = np.empty((n_trajectories, n_steps, system.state_dim))
    state = system.mu0 + rng.standard_normal((n_trajectories, system.state_dim)) @ _root(system.P0).T
    for t in range(n_steps):
        noise = rng.standard_normal((n_trajectories, system.output_dim)) @ output_root.T
        states[:, t] = state
        outputs[:, t] = state @ system.C.T + inputs[:, t] @ system.D.T + noise
        push = rng.standard_normal((n_trajectories, system.state_dim)) @ state_root.T
        state = state @ system.A.T + inputs[:, t] @ system.B.T + push
    return outputs, states


def simulate_mixture(
    systems: Sequence[LinearSystem],
    *,
    n_trajectories: int,
    n_steps: int | Sequence[int],
    weights: Sequence[float] | np.ndarray | None = None,
    input_kind: InputKind = "white",
    correlation: float = 0.5,
    inputs: np.ndarray | None = None,
    seed: int = 0,
) -> MixtureSample:
    """Simulate trajectories, each of one system drawn at random.

    Parameters
    ----------
    systems
        The components.
    n_trajectories
        N.
    n_steps
        T, or one length per trajectory.
    weights
        Probabilities of the components; equal when ``None``.
    input_kind, correlation
        See `draw_inputs`.
    inputs
        Array (N, T, m) to use instead of drawn inputs.
    seed
        Names the random streams ``linear-systems/...``.

    Raises
    ------
    DataError
        If lengths or weights do not fit.
    """
    systems = list(systems)
    shares = np.full(len(systems), 1 / len(systems)) if weights is None else np.asarray(weights, dtype=float)
    lengths = np.broadcast_to(np.asarray(n_steps, dtype=int), (n_trajectories,))
    if shares.shape != (len(systems),) or (shares < 0).any() or not np.isclose(shares.sum(), 1):
        raise DataError(
            f"weights are {shares.tolist()}",
            expected=f"{len(systems)} probabilities that sum to 1",
            remedy="pass one per system",
        )
    if lengths.min(initial=1) < 1:
        raise DataError(f"a length of {lengths.min()}", expected="at least 1 step", remedy="change n_steps")
    labels = stream(seed, "linear-systems", "labels").choice(len(systems), size=n_trajectories, p=shares)
    if inputs is None:
        inputs = draw_inputs(
            input_kind,
            n_trajectories=n_trajectories,
            n_steps=int(lengths.max()),
            input_dim=systems[0].input_dim,
            correlation=correlation,
            rng=stream(seed, "linear-systems", "inputs"),
        )
    wrong = [system.input_dim for system in systems if system.input_dim != inputs.shape[2]]
    if wrong:
        raise DataError(
            f"inputs with {inputs.shape[2]} columns for a system of {wrong[0]} inputs",
            expected="the same number",
            remedy="pass systems with input_dim=0 where there are no inputs",
        )
    outputs: list[np.ndarray] = [np.empty(0)] * n_trajectories
    states: list[np.ndarray] = [np.empty(0)] * n_trajectories
    for k, system in enumerate(systems):
        chosen = np.flatnonzero(labels == k)
        y, x = simulate_system(system, inputs[chosen], rng=stream(seed, "linear-systems", "component", k))
        for row, i in enumerate(chosen):
            outputs[i], states[i] = y[row, : lengths[i]], x[row, : lengths[i]]
    trimmed = [inputs[i, : lengths[i]] for i in range(n_trajectories)]
    return MixtureSample(outputs, trimmed, states, labels, systems, shares)


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix whose square is the covariance; singular ones are welcome."""
    values, vectors = np.linalg.eigh(0.5 * (covariance + covariance.T))
    return vectors * np.sqrt(np.clip(values, 0, None))
