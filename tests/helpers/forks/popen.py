"""Python commands as processes that need not import torch, which takes seconds: see `tests.helpers.forks.server`."""

import atexit
import ctypes
import inspect
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.helpers.forks.server import MAX_BYTES, Request

ROOT = Path(__file__).resolve().parents[3]
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LIBC = ctypes.CDLL(None)
_START = inspect.signature(subprocess.Popen._execute_child)
# Nothing reads these before a command's own code runs.
READ_LATE = {"PYTEST_CURRENT_TEST", "RANK", "LOCAL_RANK", "GROUP_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"}
READ_LATE |= {"GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_NAME", "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
READ_LATE |= {"TORCH_NCCL_ASYNC_ERROR_HANDLING"}
READ_LATE |= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"}


class Server:
    """The other end of the socket that a fork server reads from."""

    def __init__(self, connection: socket.socket, *environments: Mapping[str, str]):
        self.connection = connection
        self.owner = os.getpid()
        self._environments = environments  # before its imports and after them: some of these set variables
        self._lock = threading.Lock()

    @classmethod
    def started(cls) -> "Server":
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        before = dict(os.environ)
        words = [sys.executable, "-m", "tests.helpers.forks.server", str(theirs.fileno())]
        nothing = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        process = subprocess.Popen(words, cwd=ROOT, pass_fds=[theirs.fileno()], **nothing)
        theirs.close()
        atexit.register(lambda: (ours.close(), process.wait()))
        after = ours.recv(MAX_BYTES)
        if not after:
            raise RuntimeError(f"a fork server ended with {process.wait()} while it started")
        return cls(ours, before, pickle.loads(after))

    def suits(self, environment: Mapping[str, str]) -> bool:
        """Whether a process with these variables would import the same as the server has."""
        names = {name for known in (environment, *self._environments) for name in known} - READ_LATE
        return all(
            environment.get(name) in [known.get(name) for known in self._environments]
            for name in names
            if not name.startswith("TORCHELASTIC_")
        )

    def fork(self, request: Request, files: Sequence[int]) -> int:
        """Start a child of this process; its number."""
        with self._lock:
            _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
            try:
                socket.send_fds(self.connection, [pickle.dumps(request)], files)
                return int(self.connection.recv(100))
            finally:
                _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 0)


class Forked(subprocess.Popen):
    """A `subprocess.Popen` of this interpreter that a fork server starts, a child of this process like any other.

    Where variables of the environment differ that imports may read, it starts a fresh process after all.
    """

    server: Server | None = None

    def _execute_child(self, *given: object) -> None:
        asked = _START.bind(self, *given).arguments
        environment = dict(os.environ if asked["env"] is None else asked["env"])
        if Forked.server is None or Forked.server.owner != os.getpid():
            Forked.server = Server.started()
        if not Forked.server.suits(environment):
            return super()._execute_child(*given)
        pipes = {name: asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")}
        own = enumerate(pipes[name] for name in ("p2cread", "c2pwrite", "errwrite"))
        request = Request(
            words=[os.fspath(word) for word in asked["args"]][1:],
            folder=os.path.abspath(asked["cwd"] or "."),
            environment=environment,
            new_session=asked["start_new_session"],
            blocked=signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        )
        self.pid = Forked.server.fork(request, [number if file == -1 else file for number, file in own])
        self._child_created = True
        self._close_pipe_fds(*pipes.values())
