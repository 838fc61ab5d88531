"""The settings: two JSON files -> one typed object."""

from tsam_dali.config.load import load_config as load_config
