"""Names of other packages that a submission has no business with, or that somebody should read: one table.

The longest name that fits counts, so that exceptions can be named below their package.
"""

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
_NAMES: dict[Check, str] = {
    CLOCK: """
        time datetime timeit torch.utils.benchmark torch.cuda.Event.elapsed_time torch.profiler jax.profiler
    """,
    SLEEP: """
        time.sleep torch.cuda._sleep
    """,
    HARNESS: """
        algoperf algoperf.run algoperf.clock algoperf.records algoperf.backends algoperf.files
        workloads.spec scoring campaign target_setting submission_runner run_benchmark score_submissions
        set_targets audit
    """,
    EVALUATION: """
        algoperf.evaluation algoperf.metrics algoperf.losses algoperf.run.due
    """,
    DATA: """
        algoperf.registry algoperf.families algoperf.data algoperf.bound_workload algoperf.workload
        algoperf.workloads workloads datasets tests algoperf.suites
    """,
    OTHER_DATA: """
        sklearn.datasets torchvision.datasets tensorflow_datasets tfds torchaudio datasets.load_dataset
        torchtext keras.datasets tensorflow.keras.datasets
    """,
    PRETRAINED: """
        torchvision.models timm transformers huggingface_hub torch.hub safetensors gdown kagglehub
    """,
    NETWORK: """
        socket urllib http requests httpx aiohttp ftplib smtplib ssl xmlrpc socketserver paramiko boto3
        websockets wandb grpc zmq google.cloud gcsfs s3fs torch.distributed.rpc torch.distributed.TCPStore
        wget telnetlib
    """,
    PROCESS: """
        subprocess multiprocessing torch.multiprocessing os.fork os.forkpty os.kill os.killpg os._exit
        os.abort os.system os.popen os.spawnl os.spawnv os.spawnve os.spawnlp os.spawnvp os.posix_spawn
        os.execv os.execve os.execl os.execle os.execlp os.execvp os.execvpe os.wait os.waitpid os.setsid
        os.getppid os.pipe pty joblib ray dask psutil pexpect torch.distributed.launch torch.distributed.run
        os.daemon faulthandler
    """,
    FILES: """
        os.remove os.unlink os.rename os.replace os.mkdir os.makedirs os.rmdir os.removedirs os.symlink
        os.link os.truncate os.write os.chmod os.chdir os.open os.fdopen os.walk os.scandir os.listdir
        os.mkfifo tempfile shutil glob mmap fcntl sqlite3 shelve dbm zipfile tarfile fileinput torch.save
        numpy.save numpy.savez numpy.savetxt numpy.savez_compressed pickle.dump json.dump
        logging.FileHandler flax.training.checkpoints orbax posix os.memfd_create jax.numpy.save
        jax.numpy.savez jax.experimental.compilation_cache torch.distributed.FileStore diskcache
        numpy.memmap torch.from_file torch.UntypedStorage.from_file os.read os.readv os.pread os.preadv
        os.pwrite os.writev os.dup os.dup2 os.close os.closerange os.sendfile os.splice os.fdatasync
        os.copy_file_range select selectors
    """,
    ARGUMENTS: """
        sys.argv sys.orig_argv absl.flags argparse
    """,
    ENVIRONMENT: """
        os.environ os.getenv os.environb
    """,
    FRAMES: """
        sys._getframe sys._current_frames sys.settrace sys.setprofile sys.monitoring sys.gettrace
        sys.getprofile threading.settrace threading.setprofile inspect.stack inspect.currentframe
        inspect.trace inspect.getouterframes inspect.getinnerframes inspect.getframeinfo
        traceback.walk_stack traceback.extract_stack bdb pdb trace cProfile profile sys.call_tracing
        sys._current_exceptions sys.setswitchinterval sys.addaudithook sys.exc_info
        threading.settrace_all_threads threading.setprofile_all_threads sys.excepthook sys.unraisablehook
        sys.displayhook
    """,
    AT_EXIT: """
        atexit weakref.finalize threading._register_atexit gc.callbacks multiprocessing.util.Finalize
        copyreg
    """,
    SIGNALS: """
        signal
    """,
    MEMORY: """
        numpy.ctypeslib gc.get_objects gc.get_referrers gc.get_referents ctypes cffi _ctypes inspect.getclosurevars
        inspect.getmembers builtins.object.__subclasses__ _xxsubinterpreters
    """,
    COLLECTOR: """
        gc.disable gc.enable gc.freeze gc.set_threshold gc.set_debug
    """,
    CODE: """
        builtins.exec builtins.eval builtins.compile marshal code codeop runpy types.CodeType
        types.FunctionType imp importlib.util importlib.machinery zipimport
    """,
    HIDDEN: """
        base64 zlib gzip bz2 lzma binascii codecs.decode zstandard struct.unpack array.array brotli
    """,
    PICKLE: """
        pickle dill cloudpickle _pickle cPickle jsonpickle joblib.load torch.load numpy.load
        flax.serialization
    """,
    HASH: """
        hashlib xxhash hmac crc32c zlib.crc32 zlib.adler32 builtins.hash
    """,
    READING: """
        builtins.open io.open io.FileIO numpy.loadtxt numpy.genfromtxt numpy.fromfile json.load csv.reader
        csv.DictReader importlib.resources pkgutil pandas h5py yaml toml tomllib configparser linecache
        tokenize inspect.getsource inspect.getsourcelines jax.numpy.load codecs.open io.open_code
    """,
    PATHS: """
        pathlib os.getcwd os.path.expanduser os.path.exists os.path.isfile os.path.getmtime os.stat os.sep
    """,
    MACHINE: """
        torch.set_num_threads torch.set_num_interop_threads os.sched_setaffinity os.setpriority os.nice
        threadpoolctl resource psutil.Process.nice psutil.Process.cpu_affinity numexpr mkl
        torch.cuda.set_per_process_memory_fraction os.sched_setscheduler numba.set_num_threads pynvml
    """,
    PRECISION: """
        torch.autocast torch.amp torch.cuda.amp torch.cpu.amp torch.set_float32_matmul_precision
        torch.set_default_dtype torch.set_flush_denormal jax.default_matmul_precision
        jax.numpy_dtype_promotion apex torch.set_autocast_enabled torch.set_autocast_dtype
        torch.set_autocast_gpu_dtype torch.set_autocast_cpu_enabled torch.set_autocast_cpu_dtype
        jax.experimental.enable_x64 jax.enable_x64 torch.set_default_tensor_type jmp transformer_engine
        torchao torch.ao torch.quantization torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32
    """,
    SETTING: """
        jax.config torch.use_deterministic_algorithms torch.set_default_device torch.backends
        torch.autograd.set_detect_anomaly torch.set_warn_always sys.setrecursionlimit torch._dynamo.config
        torch._inductor.config jax.default_device jax.disable_jit jax.default_prng_impl
    """,
    GLOBAL_SEED: """
        torch.manual_seed torch.seed torch.cuda.manual_seed torch.cuda.manual_seed_all numpy.random.seed
        random.seed torch.set_rng_state numpy.random.set_state random.setstate torch.random.manual_seed
    """,
    KERNEL: """
        triton torch.utils.cpp_extension jax.experimental.pallas cupy numba jax.ffi torch.library pycuda
        torch.ops.load_library torch.classes.load_library cython pybind11 torch.cuda._compile_kernel
    """,
    FOREIGN_CODE: """
        forbiddenfruit wrapt gorilla bytecode dis opcode
    """,
    PATCHING: """
        unittest mock pytest importlib.reload
    """,
    MODULES: """
        sys.modules sys.meta_path sys.path_hooks sys.path_importer_cache builtins.__build_class__
        builtins.__loader__ site sitecustomize usercustomize
    """,
    IMPORT_PATH: """
        sys.path
    """,
    CALLBACK: """
        jax.pure_callback jax.experimental.io_callback jax.debug.callback jax.experimental.host_callback
        weakref.ref jax.monitoring torch.autograd.graph.saved_tensors_hooks
    """,
    STREAM: """
        torch.cuda.Stream torch.cuda.stream torch.cuda.set_stream torch.cuda.CUDAGraph torch.cuda.graph
        torch.jit.fork torch.futures torch.cuda.graphs
    """,
    DISPATCH: """
        torch.overrides.TorchFunctionMode torch.utils._python_dispatch torch.Tensor._make_subclass torch.fx
        torch.Tensor._make_wrapper_subclass torch.nn.modules.module.register_module_forward_hook
        jax.interpreters jax.core torch.nn.modules.module.register_module_forward_pre_hook
        torch.nn.modules.module.register_module_full_backward_hook torch.utils.hooks
        torch.nn.modules.module.register_module_backward_hook
    """,
    CHANGED_MODULE: """
        torch.nn.utils.parametrize torch.nn.utils.prune torch.nn.utils.weight_norm
        torch.nn.utils.spectral_norm torch.nn.utils.fusion torch.nn.utils.fuse_conv_bn_eval
        torch.nn.utils.parametrizations flax.linen.intercept_methods
        torch.nn.utils.convert_conv2d_weight_memory_format torch.nn.SyncBatchNorm.convert_sync_batchnorm
    """,
    OWN_LOSS: """
        torch.nn.functional.cross_entropy torch.nn.functional.nll_loss torch.nn.functional.kl_div
        torch.nn.functional.mse_loss torch.nn.functional.binary_cross_entropy torch.nn.functional.ctc_loss
        torch.nn.functional.binary_cross_entropy_with_logits torch.nn.CrossEntropyLoss torch.nn.KLDivLoss
        torch.nn.MSELoss torch.nn.BCEWithLogitsLoss torch.nn.functional.l1_loss optax.softmax_cross_entropy
        optax.sigmoid_binary_cross_entropy optax.softmax_cross_entropy_with_integer_labels optax.ctc_loss
        optax.kl_divergence optax.losses
    """,
    WORKERS: """
        asyncio sched threading.Timer torch.utils.data queue.Queue.get
    """,
    INITIALISES: """
        torch.nn.init jax.nn.initializers flax.linen.initializers
    """,
    INTERNALS: """
        jax._src jaxlib torch._C
    """,
    EXIT: """
        sys.exit builtins.exit builtins.quit builtins.SystemExit builtins.KeyboardInterrupt
        _thread.interrupt_main
    """,
}
_ALLOWED = """
    algoperf.spec algoperf.jax_sharding_utils algoperf.pytorch_utils algoperf.param_utils
    algoperf.random_utils algoperf.jax_utils algoperf.data.batch algoperf.direction
    algoperf.submission_info time.strftime datetime.timedelta torch.utils.data.IterableDataset
    pathlib.PurePath sys.modules.keys os.path.join algoperf.logger_utils algoperf.init_utils
    algoperf.interop_utils tests.submissions_of_all_kinds jax.config.jax_enable_x64
    torch.backends.cuda.is_built torch.backends.mps jax.core.Tracer jax.core.ShapedArray torch.fx.Node
    jax.core.get_aval
"""
"""Exceptions."""

TABLE: dict[str, Check | None] = {name: check for check, names in _NAMES.items() for name in names.split()}
"""Name -> its check; None for what is fine below a name that is not."""
TABLE |= dict.fromkeys(_ALLOWED.split())
