"""Names of other packages that a submission has no business with, or that somebody should read: one table.

The longest name that fits counts, so that exceptions can be named below their package.
"""

from audit.findings import Check
from audit.name_checks import (
    ARGUMENTS,
    AT_EXIT,
    CALLBACK,
    CHANGED_MODULE,
    CLOCK,
    CODE,
    COLLECTOR,
    DATA,
    DISPATCH,
    ENVIRONMENT,
    EVALUATION,
    EXIT,
    FILES,
    FOREIGN_CODE,
    FRAMES,
    GLOBAL_SEED,
    HARNESS,
    HASH,
    HIDDEN,
    IMPORT_PATH,
    INITIALISES,
    INTERNALS,
    KERNEL,
    MACHINE,
    MEMORY,
    MODULES,
    NETWORK,
    OTHER_DATA,
    OWN_LOSS,
    PATCHING,
    PATHS,
    PICKLE,
    PRECISION,
    PRETRAINED,
    PROCESS,
    READING,
    SETTING,
    SIGNALS,
    SLEEP,
    STREAM,
    WORKERS,
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
