"""Making the log-mel store of a data set, and checking it."""

from pipelines.audio.log_mel import AudioImage
from pipelines.audio.mel_records import read_summary, store_audio, summary_writer
from pipelines.audio.mel_store import MelStore
from pipelines.dataset.audio_files import audio_file, audio_states

OPTIONS = AudioImage(n_mels=16, spec_size=(3, 12, 20))


def store_all(dataset, *clip_ids, audio_segments=2):
    with summary_writer(dataset.mels) as write:
        for clip_id in clip_ids:
            known = read_summary(dataset.mels).get(clip_id, ())
            files = (dataset.mels, dataset.data_dir, clip_id, audio_file(dataset, clip_id))
            write(store_audio(*files, OPTIONS, known, audio_segments))


def check(dataset, *clip_ids, options=OPTIONS, audio_segments=1):
    videos = [(clip_id, dataset.videos / f"{clip_id}.mp4") for clip_id in clip_ids]
    return MelStore(dataset.mels, options).check(audio_states(dataset, dict(videos))[0], audio_segments)
