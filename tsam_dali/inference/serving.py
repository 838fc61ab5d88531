"""The application of tools/serve.py: an HTTP server that takes videos, with limits on size and time."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Le

from pipelines.files.formats import DEMUXERS, ENDINGS
from pipelines.parallel.server import Fault
from tsam_dali.inference.child import ChildPredictor

if TYPE_CHECKING:
    from fastapi import FastAPI

STATUS = {"timeout": 504}
"""Of a fault; of others it is 422."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Arguments of tools/serve.py."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every one of this machine."""
    port: Annotated[int, Ge(0), Le(65535)] = 8000
    """Port to listen on; 0 takes a free one."""
    megabytes: Annotated[float, Gt(0)] = 100.0
    """Largest upload, in 10^6 bytes."""
    seconds: Annotated[float, Gt(0)] = 60.0
    """That an upload may take, and after it the prediction."""
    connections: Annotated[int, Ge(1)] = 16
    """At a time; each may hold an upload on disk."""
    topk: Annotated[int, Ge(1)] = 5
    """Classes of each video."""


def build_app(predictor: ChildPredictor, options: ServeOptions) -> "FastAPI":
    """The application; it closes the predictor at its end."""
    from fastapi import FastAPI, HTTPException, Response, UploadFile

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        predictor.close()

    app = FastAPI(title="tsam_dali", lifespan=lifespan)
    app.add_middleware(UploadLimits, options=options)
    turn = asyncio.Lock()

    @app.post("/predict")
    async def predict(video: UploadFile) -> Response:
        """The classes of a video."""
        name = os.path.basename(video.filename or "")
        ending = os.path.splitext(name)[1].lower()
        if ending not in DEMUXERS:
            raise HTTPException(415, f"{name}: expected a video, which ends in {ENDINGS}")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"video{ending}")
            with path.open("wb") as file:
                await asyncio.to_thread(shutil.copyfileobj, video.file, file)
            async with turn:
                found = await asyncio.to_thread(predictor.predict, path, name, options.seconds)
        if isinstance(found, Fault):
            raise HTTPException(STATUS.get(found.status, 422), found.reason)
        return Response(found, media_type="application/json")

    return app


class UploadLimits:
    """Between server and application: ends uploads that are too large or take too long."""

    def __init__(self, app: Any, options: ServeOptions):
        self._app, self._options = app, options

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        from fastapi import HTTPException
        from fastapi.responses import JSONResponse

        most, seconds = int(1e6 * self._options.megabytes), self._options.seconds
        too_large = f"larger than {self._options.megabytes:g} MB"
        length = dict(scope.get("headers", ())).get(b"content-length", b"0")
        if int(length) > most:
            await JSONResponse({"detail": too_large}, 413)(scope, receive, send)
            return
        deadline, received, is_whole = asyncio.get_running_loop().time() + seconds, 0, scope["type"] != "http"

        async def limited() -> Any:
            nonlocal received, is_whole
            if is_whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, f"not received within {seconds:g} s") from None
            received += len(message.get("body", b""))
            is_whole = not message.get("more_body", False)
            if received > most:
                raise HTTPException(413, too_large)
            return message

        await self._app(scope, limited, send)
