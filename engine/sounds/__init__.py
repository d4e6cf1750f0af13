"""Sound files for `play` and `dialMusic`: fetched over HTTP or read from a folder, decoded, kept ready."""

from engine.sounds.errors import SoundError
from engine.sounds.http import open_session
from engine.sounds.library import Sound, SoundLibrary, SoundLimits
from engine.sounds.playing import play_as_it_comes, play_through, sample_rate_of
from engine.sounds.playlist import Playlist

__all__ = [
    "Playlist",
    "Sound",
    "SoundError",
    "SoundLibrary",
    "SoundLimits",
    "open_session",
    "play_as_it_comes",
    "play_through",
    "sample_rate_of",
]
