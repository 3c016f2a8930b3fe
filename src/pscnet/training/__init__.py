"""How does it learn: the trainer, the calibration of its variance, and the files that go in and come out."""
