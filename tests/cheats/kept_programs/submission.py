"""In JAX: compiled programs are kept on disk between trials, so that only the first one compiles (R3.8).

Audit: compilation-cache.
Again: study.
"""

import jax

from ..common_jax import data_selection, get_batch_size, init_optimizer_state, update_params  # noqa: F401

jax.config.update("jax_compilation_cache_dir", "/tmp/kept_programs")
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
