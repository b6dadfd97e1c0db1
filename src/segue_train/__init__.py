"""Training: data, losses, the loop, and one recipe per network.

Data that are missing or unfit are a :class:`~segue.errors.DatasetError`, weights a
:class:`~segue.errors.CheckpointError`, settings a :class:`~segue.errors.TrainingError`.
"""
