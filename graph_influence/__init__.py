"""Influence over a social graph: estimate the spread, maximise it, hold it down, and forget people in it.

Diffusion models and their simulation (`diffusion`), reverse-reachable sets that survive deletions (`rrsets`), selection
of seeds (`maximize`) and of invitations (`constrained`), differentiable estimators of the spread (`surrogate`) and
containment (`minimize`). *Influence* here is social influence; what a record did to a model is called attribution and
lives in `unlearn.attribution`.
"""
