"""Extract JPEG frames, or with --audio the audio, of every video in dir_videos, with ffmpeg.

Without --audio, dir_frames/ID/ receives the frames, 256 pixels high, under the names that frames_tmpl gives, counted
from 1. With --audio, dir_audios/ID.wav receives the audio: 16-bit PCM at the video's own rate and channels. The videos
are only read. What exists is skipped. Videos without audio are listed. Videos that failed are listed with
ffmpeg's reason; the exit status is then 1.
"""

import os
import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import ffmpeg
import joblib
from tqdm import tqdm

from pipelines.audio.decode import audio_stream
from pipelines.audio.read import NoAudioError, wav_cut_short
from pipelines.dataset.media_files import find_video, video_ids
from pipelines.decode.container import open_video
from pipelines.decode.frame_folder import check_template
from pipelines.decode.reader import VideoReader
from pipelines.files.atomic import fault_of_one, temporary_path
from pipelines.files.errors import ListError
from pipelines.files.formats import DEMUXERS, ENDINGS
from pipelines.files.storage import is_remote
from pipelines.files.unicode_names import locale_hint
from pipelines.transcode.ffmpeg import FfmpegError, passthrough, run_ffmpeg
from tsam_dali.cli.common import EXAMPLE_DATA, friendly_errors, parser, positive, printable, sigterm_as_interrupt
from tsam_dali.cli.example import ensure_example
from tsam_dali.config import load_config

HEIGHT = 256  # pixels, as TSAM extracts frames


class Result(NamedTuple):
    """What became of one video."""

    id: str
    state: str  # "extracted", "existed", "no audio" or "failed"
    reason: str = ""


@friendly_errors
def main() -> None:
    sigterm_as_interrupt()
    command = parser("python tools/video2frames.py", __doc__)
    command.epilog = "example: python tools/video2frames.py --data D.json --audio"
    add = command.add_argument
    add("--data", metavar="FILE", default=EXAMPLE_DATA, help="JSON file of the data set (default: %(default)s)")
    add("--audio", action="store_true", help="extract the audio instead of frames")
    add("--fps", type=float, default=10.0, help="frames per second; 0: every frame (default: %(default)g)")
    workers = "ffmpeg processes at a time (default: one per core)"
    add("--workers", type=positive, default=joblib.cpu_count(), help=workers)
    add("--force", action="store_true", help="also extract what exists already")
    args = command.parse_args()
    if not 0 <= args.fps < float("inf"):
        command.error(f"--fps: expected 0 or more frames per second, got {args.fps:g}")
    dataset = load_config(args.data, args.data).dataset  # the data file says all that is needed here
    ensure_example(dataset)
    if not args.audio:
        check_template(dataset.frames_tmpl)
    if is_remote(dataset.videos):
        raise ValueError(f"dataset.dir_videos: {dataset.videos}: the ffmpeg program needs files in a folder")

    def extract(clip_id: str) -> Result:
        target = dataset.audios / f"{clip_id}.wav" if args.audio else dataset.frames / clip_id
        is_there = os.path.isfile if args.audio else os.path.isdir
        if is_there(target) and not args.force:
            return Result(clip_id, "existed")
        try:
            video = Path(find_video(dataset, clip_id)).absolute()
            if args.audio:
                extract_audio(video, target)
            else:
                extract_frames(video, target, args.fps, dataset.frames_tmpl)
        except NoAudioError:
            return Result(clip_id, "no audio")
        except UnicodeEncodeError:  # ffmpeg-python's
            return Result(clip_id, "failed", f"its name is no UTF-8 text; rename it{locale_hint(clip_id)}")
        except Exception as error:  # whatever a file holds, and however it is called
            return Result(clip_id, "failed", fault_of_one(error))
        return Result(clip_id, "extracted")

    clip_ids = video_ids(dataset)
    if not clip_ids:
        raise ListError([f"{dataset.videos}: no video with one of the endings {ENDINGS}"])
    title = "extracting audio" if args.audio else "extracting frames"
    results = defaultdict(list)
    try:
        for result in tqdm(_in_threads(extract, clip_ids, args.workers), total=len(clip_ids), desc=title, unit="video"):
            results[result.state].append(result)
    except KeyboardInterrupt:
        print("interrupted; what is extracted is kept: run it again to continue", file=sys.stderr)
        sys.exit(130)
    print(", ".join(f"{len(results[state])} {state}" for state in ("extracted", "existed", "no audio", "failed")))
    print("next: train with --set pipeline.source=frames" if not args.audio else "next: precompute the audio")
    for result in sorted(results["no audio"]):
        print(f"no audio: {printable(result.id)}")
    if results["failed"]:
        print(
            "failed:",
            *(printable(f"{result.id}: {result.reason}") for result in sorted(results["failed"])),
            sep="\n",
            file=sys.stderr,
        )
        sys.exit(1)


def _in_threads(extract: Callable[[str], Result], clip_ids: list[str], workers: int) -> Iterator[Result]:
    """Extract all clips; gives the results as they come.

    Threads suffice, as ffmpeg does the work. Whatever ends this early, those at work end first and clean up.
    """
    with ThreadPoolExecutor(workers) as pool:
        try:
            for future in as_completed([pool.submit(extract, clip_id) for clip_id in clip_ids]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def extract_audio(video: Path, target: Path) -> None:
    """Write the audio of a video as 16-bit PCM to the file `target`, as a whole or not at all.

    Raises:
        FfmpegError: ffmpeg failed, or could not write all of it.
        NoAudioError: there is no audio.
        AudioError: there is no decoder for it.
        VideoError: see `open_video`.
    """
    with open_video(video) as container:  # ffmpeg would take the audio of a file that is cut short
        stream = audio_stream(video, container)
        if stream is None:
            raise NoAudioError(f"{video}: has no audio")
        track = stream.index
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_path(target) as temporary:
        # Not with -xerror, by which damage of a single packet would count as a failure.
        run_ffmpeg(_input(video, track).output(str(temporary), format="wav", acodec="pcm_s16le"))
        if cut := wav_cut_short(temporary):  # FFmpeg 5 calls it a success
            raise FfmpegError(f"its audio was {cut}; is the disk full?")
        temporary.replace(target)


def extract_frames(video: Path, target: Path, fps: float, frames_tmpl: str) -> None:
    """Write the frames of a video into the folder `target`, as a whole or not at all.

    Args:
        video: the file.
        target: a folder; one that exists is replaced.
        fps: frames per second to extract; 0 for every frame once.
        frames_tmpl: name of frame number i, counted from 1.

    Raises:
        FfmpegError: ffmpeg failed, found damage, or the video holds no frame.
        VideoError: as `VideoReader`.
    """
    with VideoReader(video) as reader:
        track, strict = reader.stream.index, reader.demuxed.starts_clean
    # At damage it stops, instead of filling in what is missing; but of a part of a longer recording the first frames
    # may lack what they were predicted from.
    decoder, stops = ({"err_detect": "explode"}, ["-xerror"]) if strict else ({}, [])
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_path(target) as temporary:
        temporary.mkdir()
        scale = f"scale=-1:{HEIGHT}"
        rate = {"vf": f"{scale},fps={fps:g}"} if fps else {"vf": scale, **passthrough()}
        ending = Path(frames_tmpl.format(1)).suffix
        # Numbered within the working directory: a percent sign in the folder's name would be taken for a number.
        output = _input(video, track, **decoder).output(f"%d{ending}", **rate, **{"q:v": 0})
        try:
            run_ffmpeg(output.global_args(*stops), folder=temporary)
        except FfmpegError as error:  # to some versions it is an error that there was no frame to write
            if "Nothing was written" not in str(error):
                raise
        if not any(temporary.iterdir()):  # shorter than half a frame at that rate: its first one
            first = {"vf": f"{scale},select=eq(n\\,0)", **passthrough()}
            output = _input(video, track, **decoder).output(f"%d{ending}", **first, **{"q:v": 0})
            run_ffmpeg(output.global_args(*stops), folder=temporary)
        if not any(temporary.iterdir()):
            raise FfmpegError("no frame could be decoded")
        for path in list(temporary.iterdir()):
            path.rename(temporary / frames_tmpl.format(int(path.stem)))
        shutil.rmtree(target, ignore_errors=True)
        temporary.rename(target)


def _input(video: Path, track: int, **options: str) -> Any:
    """A stream by its number: of several, ffmpeg would choose another one than training."""
    return ffmpeg.input(str(video), format=DEMUXERS[video.suffix], **options)[str(track)]


if __name__ == "__main__":
    main()
