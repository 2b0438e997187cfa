"""The order in which --help lists the flags of runs and campaigns; what is in no group comes last."""

WHAT = (
    *("workload", "workload_path", "submission", "set", "eject", "framework"),
    *("tuning_ruleset", "tuning_search_space", "suite", "rng_seed"),
)
OF_RUNS = {
    "What to run": WHAT,
    "Which trials": ("study", "trial", "num_tuning_trials", "hparam_start_index", "hparam_end_index"),
    "Results": (
        *("experiment_dir", "experiment_name", "overwrite", "append_timestamp", "accept_changes"),
        *("preflight", "preflight_memory_gib", "quiet", "json", "reproduce"),
    ),
    "While you write a submission": ("debug", "batch_size"),
    "Data": ("data_dir", "data_seed"),
    "Length and evaluations": (
        *("max_global_steps", "eval_every_steps", "skip_evals", "run_past_targets"),
        *("save_checkpoints", "save_intermediate_checkpoints"),
    ),
    "Device": ("device", "torch_compile"),
    "Referee": ("referee", "confine", "confine_memory_gib", "num_processes", "evaluator_device"),
    "Several hosts": ("coordinator", "num_hosts", "host_id", "hosts_timeout_sec"),
    "Older names": ("submission_path", "resume_last_run"),
}
OF_CAMPAIGNS = {
    "What to run": (
        "submissions",
        "set",
        "suite",
        "workloads",
        "workload_path",
        "framework",
        "tuning_ruleset",
    ),
    "How much of it": ("num_studies", "num_trials", "tuning_search_space", "rng_seed", "max_global_steps"),
    "Results": (
        *("experiment_dir", "plan", "status", "report", "compare_to", "calibrate"),
        *("preflight", "preflight_memory_gib", "retry_failed", "accept_changes", "quiet", "json"),
    ),
    "Where trials run": (
        *("engine", "workers", "gpus", "device", "frugal"),
        *("ray_address", "cpus_per_trial", "gpus_per_trial"),
    ),
    "Schedulers": (
        *("mem_per_trial", "slurm_partition", "slurm_account", "slurm_time", "slurm_extra", "slurm_cluster"),
        *("detach", "engine_dir", "image", "image_root", "volume"),
    ),
    "Data": ("data_dir", "data_seed"),
    "Referee": ("referee", "confine", "num_processes", "evaluator_device"),
}
OF_SCORES = {
    "What is scored": ("suite", "ruleset", "axis", "workloads", "workload_path", "include", "exclude"),
    "How": (
        *("num_studies", "num_trials", "relax_targets", "official", "strict", "bootstrap_samples", "seed"),
        *("seals", "reveal_data_seed"),
    ),
    "Beside whom": ("compare_to", "calibrate", "reference"),
    "Output": ("output_dir", "sensitivity", "step_times", "json"),
}
