"""Sound files for `play` and `dialMusic`: fetched over HTTP or read from a folder, decoded, kept ready."""

from engine.sounds.errors import SoundError
from engine.sounds.library import Sound, SoundLibrary, SoundLimits

__all__ = ["Sound", "SoundError", "SoundLibrary", "SoundLimits"]
