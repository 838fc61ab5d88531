"""A process that has imported what the project's commands import, and forks a child for each command.

`python -m tests.helpers.forks.server FD` reads what to run from the socket FD, see `tests.helpers.forks.popen`. It
computes nothing and starts no threads: a child is as a fresh process that has got past its imports.
"""

import atexit
import gc
import importlib
import io
import multiprocessing.process
import os
import pickle
import pkgutil
import signal
import socket
import sys
import threading
import time
import types
from dataclasses import dataclass

MAX_BYTES = 1 << 20  # of a request
COMMANDS = {
    "tsam_dali.train",
    "tsam_dali.evaluate.__main__",
    "tsam_dali.predict",
    "tsam_dali.export",
    "tsam_dali.model.__main__",
}
ON_GPU = {"tsam_dali.model.shift_triton"}
# What functions of the project and its libraries import when they are called.
LATER = (
    *("librosa.core.spectrum", "librosa.filters", "matplotlib.figure", "nvidia.dali.plugin.pytorch", "scipy.signal"),
    *("scipy.sparse", "sklearn.metrics", "sklearn.model_selection", "sklearn.utils.class_weight", "timm"),
    *("torch.distributed.launcher.api", "torch.utils.tensorboard", "torchvision"),
)


@dataclass
class Request:
    """A command to run, and what a process has of the one that starts it."""

    words: list[str]  # after the interpreter's name
    folder: str  # the working directory
    environment: dict[str, str]
    new_session: bool
    blocked: set[int]  # signals


def import_all() -> None:
    """The project's modules but commands and what only a GPU needs, and what they import later."""
    for name in ("pipelines", "tsam_dali"):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if module.name not in COMMANDS | ON_GPU:
                importlib.import_module(module.name)
    for name in LATER:
        importlib.import_module(name)


def serve(connection: socket.socket) -> Request:
    """Fork a child for each request; returns in the children only.

    A child is forked twice, and its parent ends at once: the kernel then gives it to the nearest process above that
    takes orphans, which is the one that asked (see `popen.Forked`). The answer is the child's number.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # of a terminal: those who started the server end it
    while True:
        message, files, *_ = socket.recv_fds(connection, MAX_BYTES, 3)
        if not message:
            os._exit(0)
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            for file in files:
                os.close(file)
            continue
        between = os.getpid()
        if os.fork():
            os._exit(0)
        request = pickle.loads(message)
        become(request, files)
        while os.getppid() == between:
            time.sleep(0.0005)
        connection.send(str(os.getpid()).encode())
        connection.close()
        return request


def become(request: Request, files: list[int]) -> None:
    """Take over what a process gets from the one that starts it."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    encoding = sys.__stdin__.encoding
    sys.stdin = sys.__stdin__ = stream(0, "r", encoding=encoding)
    sys.stdout = sys.__stdout__ = stream(1, "w", encoding=encoding)
    sys.stderr = sys.__stderr__ = stream(2, "w", buffering=1, encoding=encoding, errors="backslashreplace")
    if request.new_session:
        os.setsid()
    os.chdir(request.folder)
    multiprocessing.process.ORIGINAL_DIR = request.folder
    os.environ.clear()
    os.environ.update(request.environment)
    sys.modules["numpy"].random.seed()
    signal.pthread_sigmask(signal.SIG_SETMASK, request.blocked)


def stream(number: int, mode: str, **options: object) -> io.TextIOWrapper:
    return open(number, mode, closefd=False, **options)


def fork_ranks() -> Request | None:
    """Let torchrun, which this process is to become, fork its ranks from a server, too; returns in each of them."""
    from tests.helpers.forks.popen import Forked, Server

    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nowhere, number)
        return serve(theirs)
    theirs.close()
    Forked.server = Server(ours, dict(os.environ))
    handler = importlib.import_module("torch.distributed.elastic.multiprocessing.subprocess_handler.subprocess_handler")
    handler.Popen = Forked
    return None


def run(words: list[str]) -> None:
    """As `python *words` does, with `-m MODULE` or the path of a script, perhaps after -u."""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    main.__loader__, main.__builtins__ = None, __builtins__
    sys.orig_argv = [sys.executable, *words]
    if words[0] == "-u":
        words = words[1:]
        sys.stdout.reconfigure(write_through=True)
    if words[0] == "-m":
        import runpy

        sys.argv, sys.path[0] = words[1:], os.getcwd()
        runpy._run_module_as_main(words[1])
    else:
        sys.argv, sys.path[0] = words, os.path.dirname(os.path.abspath(words[0]))
        main.__file__ = words[0]
        with io.open_code(words[0]) as file:
            code = compile(file.read(), words[0], "exec")
        exec(code, vars(main))


def run_to_end(words: list[str]) -> None:
    """Run a command and end this process, without taking the interpreter apart: that takes as long as the imports."""
    code = 0
    try:
        run(words)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    import_all()
    os.fsync = lambda file: None  # as in the tests' own process
    gc.freeze()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.send(pickle.dumps(dict(os.environ)))
    request = serve(connection)
    if request.words[:2] == ["-m", "torch.distributed.run"]:
        request = fork_ranks() or request
    run_to_end(request.words)
