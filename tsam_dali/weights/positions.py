"""Position embeddings of a transformer for images of another size than those of its weights."""

from dataclasses import replace
from math import isqrt

from timm.layers import resample_abs_pos_embed
from torch import Tensor

from tsam_dali.model.backbone import Backbone
from tsam_dali.weights.formats import WeightFile

NAME = "pos_embed"


def resized(file: WeightFile, backbone: Backbone) -> tuple[WeightFile, tuple[str, ...]]:
    """The file with position embeddings for the backbone's grid of patches, resized by timm, and a note that says so.

    Those of class and register tokens stay. A file that holds none, fitting ones or none of a square grid is left as it
    is.
    """
    here, there = getattr(backbone, NAME, None), file.backbone.get(NAME)
    if not isinstance(here, Tensor) or there is None or there.ndim != 3 or here.shape == there.shape:
        return file, ()
    prefix = 0 if backbone.no_embed_class else backbone.num_prefix_tokens
    side = isqrt(max(0, there.shape[1] - prefix))
    if not side or side * side + prefix != there.shape[1] or there.shape[2] != here.shape[2]:
        return file, ()
    rows, columns = backbone.patch_embed.grid_size
    embeddings = resample_abs_pos_embed(there, (rows, columns), (side, side), prefix)
    note = f"position embeddings: resized from {side} x {side} patches to {rows} x {columns}"
    return replace(file, backbone={**file.backbone, NAME: embeddings}), (note,)
