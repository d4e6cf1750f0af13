"""Log-odds of `machine` per unit of each feature; written by `python -m amd.train`."""

BIAS = -0.2172
WEIGHTS: tuple[float, ...] = (
    +0.2580,  # run
    -0.0018,  # run beyond 1 s
    -0.2437,  # run beyond 2 s
    -0.2962,  # run beyond 3 s
    +0.3755,  # speech
    +0.2579,  # speech beyond 1.5 s
    -0.0605,  # speech beyond 3 s
    -3.2464,  # pause
    -0.7234,  # pause beyond 0.4 s
    -0.5580,  # pause beyond 0.8 s
    -0.2497,  # pause beyond 1.4 s
    +0.2694,  # pause × speech
    +0.0960,  # utterances
    +0.3106,  # longest run
    -0.2119,  # elapsed
)
HUMAN_CALIBRATION = 0.699
MACHINE_CALIBRATION = 0.051
"""Added to the log-odds of a verdict, they become those of its being right, on sources not heard before."""
BEEP_CONFIDENCE = 0.97
SILENCE_CONFIDENCE = 0.7
