"""Influence over a social graph: estimate the spread, maximise it, minimise it, and forget people in it.

Here will live diffusion models and their simulation (`diffusion`), reverse-reachable sets that survive deletions
(`rrsets`), seed selection (`maximize`), also under constraints (`constrained`), differentiable estimators of the
spread (`surrogate`) and containment (`minimize`). *Influence* here is social influence; what a record did to a model
is called attribution and lives in `unlearn.attribution`.
"""
