"""What a user can mend. Each message says what is wrong, where, and how to mend it.

Place in the flow: raised anywhere, shown by `fusemix.cli` without a traceback.
A caller's mistake inside the package stays a ValueError and keeps its traceback.
"""


class FusemixError(Exception):
    """Something a user can mend."""


class ConfigError(FusemixError):
    """A setting is unknown, has a wrong value, or contradicts another."""


class DamagedFileError(FusemixError, ValueError):
    """A file that fusemix has written cannot be read any more; a ValueError too, for who knows what to do then."""


class DatasetError(FusemixError):
    """A data set is not where it was said to be, or not what it was said to be."""


class EncoderError(FusemixError):
    """An encoder cannot be loaded, or cannot do what was asked of it."""


class LatentStoreError(FusemixError):
    """A folder of latents is unfinished, damaged, or made by something else."""


class RunError(FusemixError):
    """A training run is missing, unfinished, or does not fit what it is used with."""


class IndexFolderError(FusemixError):
    """An index for searching is missing, damaged, or made by something else."""


class QueryError(FusemixError):
    """Something that was searched for cannot be read or is not there."""
