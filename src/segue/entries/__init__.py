"""Registry entries of networks, detectors, prompters, formats, data sets, metrics and commands.

See :mod:`segue.registry`, where they are found by name.
"""
