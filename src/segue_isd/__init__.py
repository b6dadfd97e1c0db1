"""ISD generator: indoor surveillance scenes with complete ground truth, rendered from a seed.

A scene is described without any renderer (:mod:`.scene` and what it is made of), rendered by OpenGL
(:mod:`.renderer`), degraded as a camera would (:mod:`.sensor`) and written in CDnet's layout
(:mod:`.writer`).
"""
