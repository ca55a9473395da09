"""The estimator: a mixture of linear dynamical systems, fitted by tensor moments and Kalman EM."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator

from neuroloom.artifacts import fingerprint, refuse_foreign_content
from neuroloom.dynamics.em import Expectation, Mixture, expect
from neuroloom.dynamics.files import read_mixture, write_mixture
from neuroloom.dynamics.fitting import fit_mixture
from neuroloom.dynamics.initialisation import Init
from neuroloom.dynamics.kalman import smooth_states
from neuroloom.dynamics.maximisation import Constraints, count_parameters
from neuroloom.dynamics.tensor import Decomposition
from neuroloom.dynamics.trajectories import ArrayOrList, Trajectories, pack
from neuroloom.dynamics.validation import check_settings, constraints_for
from neuroloom.errors import DataError, NotFitted
from neuroloom.seeds import derive
from neuroloom.simulation.linear_systems import LinearSystem, MixtureSample, simulate_mixture

if TYPE_CHECKING:
    from neuroloom.sessions.session import Session


class MixtureOfLDS(BaseEstimator):
    """Mixture of linear dynamical systems with inputs.

    Each trajectory follows one of K systems x_{t+1} = A x + B u + w, y = C x + D u + v. Trajectories may
    differ in length and have missing outputs (NaN).

    Parameters
    ----------
    n_components
        K, or ``"bic"`` to choose 1 .. `max_components` by the Bayesian information criterion.
    state_dim
        Number of states, n.
    init
        ``"auto"`` tries the block tensor, k-means on one regression per trajectory and `n_init` random
        starts, each with a short EM, and goes on with the likeliest; the others are single methods.
        ``"tensor-pooled"`` is the tensor of Gong & Saxena (arXiv 2510.06091), for white Gaussian inputs.
    decomposition
        ``"smd"`` (simultaneous diagonalisation) or ``"rtpm"`` (tensor power method).
    n_init
        Number of random starts in ``"auto"``, of starts altogether otherwise.
    max_iter, tol
        EM stops after `max_iter` E steps, or once a step gains less than `tol` nats per output value.
    accelerate
        SQUAREM extrapolation.
    frozen
        Parameters that EM leaves alone: any of A, B, C, D, Q, R, mu0, P0, weights. B and D are frozen at
        zero, the others where the initialisation put them.
    shared
        Parameters common to all components: any of A, B, C, D, Q, R.
    ridge
        Strength of a matrix-normal prior on [A B] and [C D].
    diagonal_noise
        Keep R diagonal.
    covariance_floor
        Smallest eigenvalue of a covariance, relative to the variance that it describes.
    max_components
        Largest K tried by ``n_components="bic"``.
    seed
        Names the random streams of the starts.

    Attributes
    ----------
    components_ : list[LinearSystem]
        A, B, C, D, Q, R, mu0, P0 of each component, the most probable first.
    weights_ : ndarray (K,)
        Probabilities of the components.
    init_report_ : dict
        Each candidate's log-likelihood after its short EM, and the winner.
    log_likelihood_ : float
        Of the training data, in nats.
    trace_ : ndarray
        Objective after each accepted E step.
    n_iter_, converged_
        E steps of the last EM, and whether it met `tol`.
    labels_ : ndarray (N,)
        Component of each training trajectory.
    selection_ : dict[int, float]
        K -> BIC, if K was to be chosen.

    Examples
    --------
    >>> from neuroloom.seeds import stream
    >>> from neuroloom.simulation.linear_systems import random_system, simulate_mixture
    >>> systems = [random_system(state_dim=2, rng=stream(0, "example", k)) for k in range(2)]
    >>> data = simulate_mixture(systems, n_trajectories=60, n_steps=50)
    >>> model = MixtureOfLDS(n_components=2, state_dim=2).fit(data.outputs, data.inputs)
    >>> len(set(zip(model.predict(data.outputs, data.inputs).tolist(), data.labels.tolist())))
    2
    """

    components_: list[LinearSystem]
    weights_: np.ndarray
    init_report_: dict[str, Any]
    selection_: dict[int, float]

    def __init__(
        self,
        n_components: int | Literal["bic"] = 3,
        state_dim: int = 2,
        *,
        init: Init = "auto",
        decomposition: Decomposition = "smd",
        n_init: int = 2,
        max_iter: int = 300,
        tol: float = 1e-7,
        accelerate: bool = True,
        frozen: Sequence[str] = (),
        shared: Sequence[str] = (),
        ridge: float = 0.0,
        diagonal_noise: bool = False,
        covariance_floor: float = 1e-8,
        max_components: int = 6,
        seed: int = 0,
    ):
        self.n_components = n_components
        self.state_dim = state_dim
        self.init: Init = init
        self.decomposition: Decomposition = decomposition
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.accelerate = accelerate
        self.frozen = frozen
        self.shared = shared
        self.ridge = ridge
        self.diagonal_noise = diagonal_noise
        self.covariance_floor = covariance_floor
        self.max_components = max_components
        self.seed = seed

    def fit(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> "MixtureOfLDS":
        """Fit the mixture.

        Parameters
        ----------
        outputs
            List of (T_i, p) arrays or one (N, T, p) array; NaN where missing.
        inputs
            The same with m columns, or ``None``.

        Raises
        ------
        DataError
            If the data or the settings do not allow a fit; the message says which and what to do.
        """
        check_settings(self)
        trajectories = pack(outputs, inputs)
        constraints = constraints_for(self, trajectories)
        if self.n_components == "bic":
            self._fit_by_bic(trajectories, constraints)
        else:
            self._fit_components(trajectories, constraints, int(self.n_components))
        self.data_fingerprint_ = fingerprint(*trajectories.outputs, *trajectories.inputs)
        return self

    def fit_sessions(
        self,
        sessions: "Session | Sequence[Session]",
        *,
        bin_s: float = 0.05,
        n_pcs: int | None = None,
        input_key: str | None = None,
        square_root: bool = True,
    ) -> "MixtureOfLDS":
        """Fit the trials of sessions; see `neuroloom.dynamics.trials.trials_of` for the parameters.

        What turned spikes into outputs is kept in `preparation_`, so that other sessions can be scored:
        ``trials_of(session, preparation=model.preparation_)``.
        """
        from neuroloom.dynamics.trials import trials_of

        trials = trials_of(sessions, bin_s=bin_s, n_pcs=n_pcs, input_key=input_key, square_root=square_root)
        self.fit(trials.outputs, trials.inputs)
        self.preparation_ = trials.preparation
        return self

    def predict_proba(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> np.ndarray:
        """Return the responsibility (N, K) of each component for each trajectory."""
        return self._expect(outputs, inputs).responsibilities

    def predict(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> np.ndarray:
        """Return the likeliest component (N,) of each trajectory."""
        return self._expect(outputs, inputs).joint.argmax(axis=1)

    def score_trajectories(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> np.ndarray:
        """Return log p(y_i | u_i) (N,) in nats."""
        joint = self._expect(outputs, inputs).joint
        return np.logaddexp.reduce(joint, axis=1)

    def score(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> float:
        """Return the log-likelihood per sample, in nats; a sample is a step with any output present.

        Raises
        ------
        DataError
            If no output is present.
        """
        trajectories = self._pack(outputs, inputs)
        if not trajectories.n_samples:
            raise DataError("every output is NaN", expected="some data to score", remedy="check the mask")
        return self._expect_packed(trajectories).log_likelihood / trajectories.n_samples

    def bic(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> float:
        """Return the Bayesian information criterion; lower is better."""
        trajectories = self._pack(outputs, inputs)
        value = self._expect_packed(trajectories).log_likelihood
        return -2 * value + self.n_parameters_ * np.log(max(trajectories.n_samples, 1))

    @property
    def n_parameters_(self) -> int:
        """Number of free parameters; see `count_parameters`."""
        mixture = self._fitted()
        return count_parameters(
            mixture.systems[0],
            len(mixture.weights),
            frozen=frozenset(self.frozen),
            shared=frozenset(self.shared),
            diagonal_noise=self.diagonal_noise,
        )

    def markov_parameters(self, n: int) -> np.ndarray:
        """Return the impulse responses (K, n, p, m) of the components."""
        return np.stack([system.markov_parameters(n) for system in self._fitted().systems])

    def sample(
        self,
        n_trajectories: int,
        n_steps: int | Sequence[int],
        *,
        inputs: np.ndarray | None = None,
        seed: int = 0,
    ) -> MixtureSample:
        """Simulate trajectories from the fitted mixture, driven by `inputs` (N, T, m) or by white noise."""
        mixture = self._fitted()
        return simulate_mixture(
            mixture.systems,
            n_trajectories=n_trajectories,
            n_steps=n_steps,
            weights=mixture.weights,
            input_kind="white" if mixture.systems[0].input_dim else "none",
            inputs=inputs,
            seed=derive(seed, "dynamics", "sample"),
        )

    def smooth(self, outputs: ArrayOrList, inputs: ArrayOrList | None = None) -> list[np.ndarray]:
        """Return the smoothed states (T_i, n) of each trajectory under its likeliest component."""
        mixture, trajectories = self._fitted(), self._pack(outputs, inputs)
        labels = self._expect_packed(trajectories).joint.argmax(axis=1)
        states: list[np.ndarray] = [np.empty(0)] * len(trajectories)
        for k in np.unique(labels):
            chosen = np.flatnonzero(labels == k)
            means = smooth_states(mixture.systems[k], trajectories.subset(chosen)).means
            for i, mean in zip(chosen, means, strict=True):
                states[i] = mean
        return states

    def save(self, folder: str | PathLike) -> Path:
        """Write the fitted mixture as an artifact folder."""
        self._fitted()
        return write_mixture(self, folder)

    @classmethod
    def load(cls, folder: str | PathLike) -> "MixtureOfLDS":
        """Read a mixture that `save` wrote.

        Raises
        ------
        MissingFile, CorruptArtifact
            If the folder is not there, damaged, or something else.
        """
        settings, fitted = read_mixture(folder)
        with refuse_foreign_content(folder, expected="a mixture"):
            model = cls(**settings)
        vars(model).update(fitted)
        return model

    def _fit_by_bic(self, trajectories: Trajectories, constraints: Constraints) -> None:
        best: dict[str, Any] = {}
        selection: dict[int, float] = {}
        for k in range(1, min(self.max_components, len(trajectories)) + 1):
            self._fit_components(trajectories, constraints, k)
            samples = max(trajectories.n_samples, 1)
            selection[k] = -2 * self.log_likelihood_ + self.n_parameters_ * float(np.log(samples))
            if selection[k] <= min(selection.values()):
                best = {name: value for name, value in vars(self).items() if name.endswith("_")}
        vars(self).update(best)
        self.selection_ = selection

    def _fit_components(
        self, trajectories: Trajectories, constraints: Constraints, n_components: int
    ) -> None:
        fit, self.init_report_ = fit_mixture(
            trajectories,
            constraints,
            n_components=n_components,
            state_dim=self.state_dim,
            init=self.init,
            n_init=self.n_init,
            decomposition=self.decomposition,
            max_iter=self.max_iter,
            tolerance=self.tol,
            accelerate=self.accelerate,
            seed=self.seed,
        )
        self.components_, self.weights_ = fit.mixture.systems, fit.mixture.weights
        self.labels_ = fit.responsibilities.argmax(axis=1)
        self.log_likelihood_, self.trace_ = fit.log_likelihood, fit.trace
        self.n_iter_, self.converged_ = fit.n_iter, fit.converged

    def _fitted(self) -> Mixture:
        if not hasattr(self, "components_"):
            raise NotFitted(
                "this MixtureOfLDS has no parameters yet", expected="a fit", remedy="call fit first"
            )
        return Mixture(self.components_, self.weights_)

    def _pack(self, outputs: ArrayOrList, inputs: ArrayOrList | None) -> Trajectories:
        system = self._fitted().systems[0]
        trajectories = pack(outputs, inputs)
        found = (trajectories.output_dim, trajectories.input_dim)
        if found != (system.output_dim, system.input_dim):
            raise DataError(
                f"{found[0]} outputs and {found[1]} inputs",
                expected=f"{system.output_dim} outputs and {system.input_dim} inputs, as in fit",
                remedy="pass the same columns as in fit",
            )
        return trajectories

    def _expect(self, outputs: ArrayOrList, inputs: ArrayOrList | None) -> Expectation:
        return self._expect_packed(self._pack(outputs, inputs))

    def _expect_packed(self, trajectories: Trajectories) -> Expectation:
        return expect(
            self._fitted(), trajectories, Constraints(np.ones(trajectories.output_dim)), smooth=False
        )
