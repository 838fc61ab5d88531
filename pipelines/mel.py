"""The log-mel spectrogram of an audio file, see `pipelines.audio.log_mel`."""

from pipelines.audio.log_mel import log_mel_picture as log_mel_picture
