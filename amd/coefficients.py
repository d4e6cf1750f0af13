"""Written by `python -m amd.train`; do not edit by hand. Log-odds of `machine` per unit of each feature."""

BIAS = -0.0698
WEIGHTS: tuple[float, ...] = (
    +0.2491,  # run
    -0.0039,  # run beyond 1 s
    -0.2582,  # run beyond 2 s
    -0.3152,  # run beyond 3 s
    +0.3684,  # speech
    +0.2542,  # speech beyond 1.5 s
    -0.0076,  # speech beyond 3 s
    -3.5613,  # pause
    -0.6893,  # pause beyond 0.4 s
    -0.5435,  # pause beyond 0.8 s
    -0.3153,  # pause beyond 1.4 s
    +0.2757,  # pause × speech
    -0.0722,  # utterances
    +0.3148,  # longest run
    -0.1934,  # elapsed
)
HUMAN_CALIBRATION = (-1.364, 2.773)
MACHINE_CALIBRATION = (0.646, 0.646)
"""(offset, slope): log-odds of the verdict → log-odds of its being right, on sources not trained on."""
BEEP_CONFIDENCE = 0.97
SILENCE_CONFIDENCE = 0.7
