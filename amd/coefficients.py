"""Log-odds of `machine` per unit of each feature; written by `python -m amd.train`."""

BIAS = -0.2202
WEIGHTS: tuple[float, ...] = (
    +0.2463,  # run
    -0.0143,  # run beyond 1 s
    -0.2169,  # run beyond 2 s
    -0.2690,  # run beyond 3 s
    +0.3760,  # speech
    +0.2501,  # speech beyond 1.5 s
    -0.0720,  # speech beyond 3 s
    -3.2334,  # pause
    -0.7241,  # pause beyond 0.4 s
    -0.5553,  # pause beyond 0.8 s
    -0.2391,  # pause beyond 1.4 s
    +0.2715,  # pause × speech
    +0.1006,  # utterances
    +0.3244,  # longest run
    -0.2170,  # elapsed
)
HUMAN_CALIBRATION = 0.698
MACHINE_CALIBRATION = 0.068
"""Added to the log-odds of a verdict, they become those of its being right, on sources not heard before."""
BEEP_CONFIDENCE = 0.97
SILENCE_CONFIDENCE = 0.7
