"""What is said of names of other packages that `audit.name_table` lists: one check for each kind of them."""

from audit.findings import Check, Grade

CLOCK = Check(
    "clock",
    ("R3.20", "R3.6"),
    Grade.REVIEW,
    "{what} reads a clock.",
    "Elapsed time is in train_state (R3.6).",
)
SLEEP = Check(
    "sleep",
    ("R3.19", "R6.12"),
    Grade.FORBIDDEN,
    "{what} waits on purpose.",
    "Nothing of an algorithm needs to wait.",
)
HARNESS = Check(
    "harness-module",
    ("R3.20", "R3.7"),
    Grade.FORBIDDEN,
    "{what} is part of the harness.",
    "Import algoperf.spec and the helpers that submissions/README.md names.",
)
EVALUATION = Check(
    "evaluation-module",
    ("R3.17", "R3.7"),
    Grade.FORBIDDEN,
    "{what} is code that evaluates.",
    "Metrics come in eval_results.",
)
DATA = Check(
    "data-module",
    ("R3.9", "R3.7"),
    Grade.FORBIDDEN,
    "{what} leads to data or workloads beside the input queue.",
    "Training examples come from input_queue.",
)
OTHER_DATA = Check(
    "foreign-data",
    ("R3.9", "R3.8"),
    Grade.FORBIDDEN,
    "{what} brings data from elsewhere.",
    "Training examples come from input_queue.",
)
PRETRAINED = Check(
    "foreign-model",
    ("R3.13", "R3.8"),
    Grade.FORBIDDEN,
    "{what} brings models or parameters from elsewhere.",
    "Train the parameters that the harness gives.",
)
NETWORK = Check(
    "network", ("R3.8",), Grade.FORBIDDEN, "{what} opens connections.", "Leave the network alone."
)
PROCESS = Check(
    "process",
    ("R3.19", "R3.8"),
    Grade.FORBIDDEN,
    "{what} starts, replaces or ends a process.",
    "Work in the timed functions; end training by TrainingCompleteError.",
)
FILES = Check(
    "file-system",
    ("R3.8",),
    Grade.FORBIDDEN,
    "{what} uses the file system beyond reading the submission's own files.",
    "Keep what changes in the optimizer state.",
)
ARGUMENTS = Check(
    "command-line",
    ("R3.5", "R3.8"),
    Grade.FORBIDDEN,
    "{what} reads how the run was started.",
    "What a submission may know is in its arguments.",
)
ENVIRONMENT = Check(
    "environment",
    ("R3.5",),
    Grade.NOTE,
    "{what} reads the environment.",
    "Only RANK, LOCAL_RANK and WORLD_SIZE should matter.",
)
FRAMES = Check(
    "frames",
    ("R3.20", "R3.7"),
    Grade.FORBIDDEN,
    "{what} looks into its callers, or runs code whenever something is called.",
    "What a submission may know is in its arguments.",
)
AT_EXIT = Check(
    "at-exit",
    ("R3.19", "R3.20"),
    Grade.FORBIDDEN,
    "{what} runs code outside the timed functions.",
    "Work in the timed functions.",
)
SIGNALS = Check(
    "signals", ("R3.20",), Grade.FORBIDDEN, "{what} handles or sends signals.", "Leave them alone."
)
MEMORY = Check(
    "memory",
    ("R3.20", "R3.7"),
    Grade.FORBIDDEN,
    "{what} reaches objects that nobody handed to the submission.",
    "What a submission may use is in its arguments.",
)
COLLECTOR = Check(
    "garbage-collector",
    ("R3.20",),
    Grade.REVIEW,
    "{what} changes when Python cleans up, for the harness too.",
    "Drop references; leave the collector alone.",
)
CODE = Check(
    "code-from-data",
    ("R2.7",),
    Grade.FORBIDDEN,
    "{what} runs code that is not in the source as such.",
    "Write the code down.",
)
HIDDEN = Check(
    "hidden-data",
    ("R3.4", "R2.7"),
    Grade.REVIEW,
    "{what} unpacks data: say what they are and where they came from.",
    "Write numbers down as numbers.",
)
PICKLE = Check(
    "pickle",
    ("R3.8", "R2.7"),
    Grade.REVIEW,
    "{what} makes objects from bytes: say which, and what was computed into them.",
    "Keep what changes in the optimizer state.",
)
HASH = Check(
    "hashing",
    ("R3.2",),
    Grade.REVIEW,
    "{what} makes fingerprints: of what, and what is chosen by them?",
    "Depend on facts by formulas.",
)
READING = Check(
    "read-file",
    ("R3.8", "R3.4"),
    Grade.REVIEW,
    "{what} reads a file: say which, and what was computed into it.",
    "Only files of the submission's own source may be read.",
)
PATHS = Check(
    "path",
    ("R3.8",),
    Grade.REVIEW,
    "{what} names places on disk.",
    "Only files of the submission's own source may be read.",
)
MACHINE = Check(
    "machine",
    ("R11.1", "R11.4"),
    Grade.FORBIDDEN,
    "{what} changes what the process gets of the machine.",
    "Take threads, processors and memory as they are.",
)
PRECISION = Check(
    "precision",
    ("R11.4",),
    Grade.FORBIDDEN,
    "{what} changes the precision of the model's passes.",
    "Only the submission's own quantities may have another precision (R11.5).",
)
SETTING = Check(
    "setting",
    ("R11.4",),
    Grade.REVIEW,
    "{what} is a setting of the whole process.",
    "Leave them as the harness has them.",
)
GLOBAL_SEED = Check(
    "global-seed",
    ("R11.9",),
    Grade.REVIEW,
    "{what} sets the seed of a generator that others use.",
    "Use the argument rng, or a generator of your own.",
)
KERNEL = Check(
    "custom-kernel",
    ("R2.7", "R11.7"),
    Grade.REVIEW,
    "{what} brings compiled code of its own.",
    "It has to be part of the source, and compute with the submission's own quantities.",
)
FOREIGN_CODE = Check(
    "foreign-code",
    ("R3.20", "R2.7"),
    Grade.FORBIDDEN,
    "{what} reaches below Python.",
    "Use the framework's operations.",
)
PATCHING = Check(
    "patching",
    ("R3.20", "R3.17"),
    Grade.FORBIDDEN,
    "{what} is there to replace the code of others.",
    "Leave it as it is.",
)
MODULES = Check(
    "import-system",
    ("R3.20", "R2.7"),
    Grade.FORBIDDEN,
    "{what} reaches into the import system.",
    "Import what is needed by its name.",
)
IMPORT_PATH = Check(
    "import-path",
    ("R2.7",),
    Grade.REVIEW,
    "{what} changes or reads where modules come from.",
    "Import siblings relatively: from . import helpers.",
)
CALLBACK = Check(
    "callback",
    ("R3.19",),
    Grade.REVIEW,
    "{what} runs Python when a device or a collector gets to it.",
    "Compute in the timed functions.",
)
STREAM = Check(
    "stream",
    ("R3.19",),
    Grade.REVIEW,
    "{what} queues work that may go on beside the others.",
    "Wait for it in the function that queued it.",
)
DISPATCH = Check(
    "dispatch",
    ("R3.13", "R3.19"),
    Grade.FORBIDDEN,
    "{what} changes what operations do, those of the evaluation too.",
    "Call functions of your own.",
)
CHANGED_MODULE = Check(
    "changed-function",
    ("R3.13",),
    Grade.FORBIDDEN,
    "{what} changes the function that the model computes.",
    "Keep the model; change parameters only.",
)
OWN_LOSS = Check(
    "own-loss",
    ("R3.14",),
    Grade.REVIEW,
    "{what} is a loss beside the workload's.",
    "Losses come from workload.loss_fn; terms of parameters alone may be added.",
)
WORKERS = Check(
    "workers",
    ("R3.19",),
    Grade.REVIEW,
    "{what} may work on in threads or processes.",
    "End them in the function that started them.",
)
EXIT = Check(
    "exit",
    ("R13.1",),
    Grade.REVIEW,
    "{what} ends the process.",
    "End training by TrainingCompleteError.",
)

INITIALISES = Check(
    "own-initialisation",
    ("R3.13",),
    Grade.REVIEW,
    "{what} is for initial values of parameters.",
    "Initial parameters are the workload's; initialisation schemes are not replaced.",
)
INTERNALS = Check(
    "framework-insides",
    ("R3.20", "R11.7"),
    Grade.REVIEW,
    "{what} is inside a framework.",
    "Use what the framework documents.",
)
