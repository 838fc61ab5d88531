"""A check, made at the start of a training, of what the GPU's video decoder gives on this machine."""
