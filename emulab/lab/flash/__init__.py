"""Flash loaders: one protocol, one tool per file; every write is verified."""

from emulab.lab.flash.base import FlashJob, FlashLoader, flash_with_retries, loader_names, open_loader

__all__ = ["FlashJob", "FlashLoader", "flash_with_retries", "loader_names", "open_loader"]
