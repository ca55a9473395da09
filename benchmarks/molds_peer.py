"""An EM iteration of a mixture of linear dynamical systems put together from dynamax, for `molds.py`."""

import numpy as np

from neuroloom.dynamics.em import Mixture
from neuroloom.simulation.linear_systems import MixtureSample


def dynamax_iteration(mixture: Mixture, sample: MixtureSample):
    """Return a compiled float64 EM step for the mixture in dynamax, or None where it is absent.

    Dynamax has no mixtures: its own batched E step runs for each component, its sufficient statistics are
    weighted by the responsibilities, and its own M step follows. Its states are driven by u_{t+1} where ours
    are driven by u_t, so it gets the inputs one step late; with D = 0 the E step and the new A and B are the
    same, and only the regression for D, of the same size, differs.
    """
    try:
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from dynamax.linear_gaussian_ssm import LinearGaussianSSM

    n, m, p = mixture.systems[0].state_dim, mixture.systems[0].input_dim, mixture.systems[0].output_dim
    model = LinearGaussianSSM(n, p, m, has_dynamics_bias=False, has_emissions_bias=False)
    inputs = np.stack(sample.inputs)
    late = np.concatenate([np.zeros_like(inputs[:, :1]), inputs[:, :-1]], axis=1)
    ys, us = jnp.asarray(np.stack(sample.outputs)), jnp.asarray(late)
    starts = []
    for s in mixture.systems:
        params, props = model.initialize(
            jax.random.PRNGKey(0),
            initial_mean=jnp.asarray(s.mu0),
            initial_covariance=jnp.asarray(s.P0),
            dynamics_weights=jnp.asarray(s.A),
            dynamics_input_weights=jnp.asarray(s.B),
            dynamics_covariance=jnp.asarray(s.Q),
            emission_weights=jnp.asarray(s.C),
            emission_input_weights=jnp.asarray(s.D),
            emission_covariance=jnp.asarray(s.R),
        )
        starts.append((params, props))
    return _compiled(model, starts, mixture.weights, ys, us)


def _compiled(model, starts, weights, outputs, inputs):
    import jax
    import jax.numpy as jnp

    props = starts[0][1]
    log_weights = jnp.log(jnp.asarray(weights))

    @jax.jit
    def iterate(all_params, ys, us):
        results = [jax.vmap(lambda y, u, q=q: model.e_step(q, y, u))(ys, us) for q in all_params]
        joint = jnp.stack([result[1] for result in results], axis=1) + log_weights
        share = jax.nn.softmax(joint, axis=1)
        fitted = []
        for k, (params, (stats, _)) in enumerate(zip(all_params, results, strict=True)):
            weighted = jax.tree_util.tree_map(
                lambda a, k=k: a * share[:, k].reshape((-1,) + (1,) * (jnp.ndim(a) - 1)), stats
            )
            fitted.append(
                model.m_step(params, props, weighted, model.initialize_m_step_state(params, props))[0]
            )
        return fitted, share.mean(axis=0)

    all_params = [params for params, _ in starts]

    def run():
        fitted, shares = iterate(all_params, outputs, inputs)
        jax.block_until_ready((fitted, shares))
        return [np.hstack([q.dynamics.weights, q.dynamics.input_weights]) for q in fitted]

    run()
    return run
