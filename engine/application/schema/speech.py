"""Who speaks and who listens: synthesisers and recognisers, as documents name them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from engine.application.schema.fields import Milliseconds, Schema, Seconds

__all__ = ["Recognizer", "Synthesizer", "Vad"]


class Synthesizer(Schema, frozen=True, kw_only=True):
    """A voice. What is not said is taken from the session's defaults."""

    vendor: str = ""
    """Empty or `default`: the session's."""
    language: str = ""
    """BCP 47: `en-US`."""
    voice: str | dict[str, Any] = ""
    label: str = ""
    """Which of several credentials of one vendor."""
    fallback_vendor: str = ""
    fallback_language: str = ""
    fallback_voice: str | dict[str, Any] = ""
    fallback_label: str = ""
    engine: Literal["standard", "neural", "generative", "long-form"] | None = None
    gender: Literal["MALE", "FEMALE", "NEUTRAL"] | None = None
    options: dict[str, Any] = {}
    """The vendor's own."""


class Vad(Schema, frozen=True, kw_only=True):
    """Voice activity detection in front of a recogniser; carried."""

    enable: bool = True
    voice_ms: Milliseconds | None = None
    silence_ms: Milliseconds | None = None
    strategy: str = ""
    mode: Annotated[int, Meta(ge=0, le=3)] | None = None
    vendor: Literal["webrtc", "silero"] | None = None
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    speech_pad_ms: Milliseconds | None = None


class Recognizer(Schema, frozen=True, kw_only=True):
    """A recogniser. What is not said is taken from the session's defaults.

    Vendors' own settings are carried to the vendor as they are.
    """

    vendor: str = ""
    """Empty or `default`: the session's."""
    language: str = ""
    """BCP 47: `en-US`."""
    label: str = ""
    model: str = ""
    hints: tuple[str | dict[str, Any], ...] = ()
    """Words and phrases to expect; an object is `{phrase, boost}`."""
    hints_boost: float | None = None
    interim: bool = False
    """Partial results are wanted too."""
    single_utterance: bool | None = None
    punctuation: bool | None = None
    words: bool | None = None
    profanity_filter: bool | None = None
    diarization: bool | None = None
    diarization_min_speakers: int | None = None
    diarization_max_speakers: int | None = None
    dual_channel: bool | None = None
    separate_recognition_per_channel: bool | None = None
    identify_channels: bool | None = None
    alt_languages: tuple[str, ...] = ()
    min_confidence: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Results the recogniser is less sure of are not reported."""
    asr_timeout: Seconds | None = None
    """Seconds of silence after which what was said is taken as a whole."""
    asr_dtmf_termination_digit: str = ""
    initial_speech_timeout_ms: Milliseconds | None = None
    fast_recognition_timeout: Seconds | None = None
    vad: Vad | None = None
    enhanced_model: bool | None = None
    autogenerate_prompt: bool | None = None
    interaction_type: (
        Literal[
            "unspecified",
            "discussion",
            "presentation",
            "phone_call",
            "voicemail",
            "voice_search",
            "voice_command",
            "dictation",
        ]
        | None
    ) = None
    naics_code: int | None = None
    vocabulary_name: str = ""
    vocabulary_filter_name: str = ""
    filter_method: Literal["remove", "mask", "tag"] | None = None
    output_format: Literal["simple", "detailed"] | None = None
    profanity_option: Literal["masked", "removed", "raw"] | None = None
    request_snr: bool | None = None
    azure_service_endpoint: str = ""
    azure_stt_endpoint_id: str = ""
    fallback_vendor: str = ""
    fallback_language: str = ""
    fallback_label: str = ""
    custom_options: dict[str, Any] = {}
    """Sent to a recogniser attached over WebSocket."""
    assembly_ai_options: dict[str, Any] = {}
    aws_options: dict[str, Any] = {}
    azure_options: dict[str, Any] = {}
    cobalt_options: dict[str, Any] = {}
    deepgram_options: dict[str, Any] = {}
    elevenlabs_options: dict[str, Any] = {}
    gladia_options: dict[str, Any] = {}
    google_options: dict[str, Any] = {}
    houndify_options: dict[str, Any] = {}
    ibm_options: dict[str, Any] = {}
    modulate_options: dict[str, Any] = {}
    nuance_options: dict[str, Any] = {}
    nvidia_options: dict[str, Any] = {}
    openai_options: dict[str, Any] = {}
    soniox_options: dict[str, Any] = {}
    speechmatics_options: dict[str, Any] = {}
    verbio_options: dict[str, Any] = {}
    xai_options: dict[str, Any] = {}
