"""Which frames, crops, colors and audio each sample gets: pure arithmetic."""

from pipelines.sampling.plan import training_frames as training_frames
from pipelines.sampling.plan import validation_frames as validation_frames
