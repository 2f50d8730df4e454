"""Every exception a user can meet, in one tree under `AffectzooError`.

A message is one or two sentences: what was wrong, with which file or name, and what to do next. The command line prints
the message alone; `--debug` shows the traceback.
"""

from __future__ import annotations


class AffectzooError(Exception):
    """Base of every error that affectzoo raises on purpose."""


class RegistryError(AffectzooError):
    """A component could not be found or built."""


class UnknownNameError(RegistryError, LookupError):
    """No plugin provides this name."""


class NameCollisionError(RegistryError):
    """Several plugins provide this name and the caller did not choose one."""


class PluginError(RegistryError):
    """A plugin is missing, broken, blocked, or declares something invalid."""


class ConfigError(AffectzooError, ValueError):
    """A configuration has an unknown key, a value of the wrong type, or a contradiction."""


class CheckpointError(AffectzooError):
    """A saved model is incomplete, damaged, of another shape, or in a format that is never read."""


class MediaError(AffectzooError):
    """A media file cannot be opened or holds nothing that can be used."""


class DetectorError(AffectzooError):
    """A face detector cannot be built, for example because its weights are absent."""


class PredictionError(AffectzooError):
    """A part of a model or of the pipeline failed, or gave values that are not numbers, while predicting a file."""


class DataError(AffectzooError):
    """A dataset is absent, damaged or does not fit the model."""


class DownloadError(AffectzooError):
    """Something could not be fetched from the Hub or an address, or pushed to the Hub.

    Where the Hub's client raised, it is an instance of the client's class too (`GatedRepoError`, ...), with its attributes.
    """


class InputError(AffectzooError, ValueError):
    """A tensor or an argument given to affectzoo has the wrong shape, type or value."""
