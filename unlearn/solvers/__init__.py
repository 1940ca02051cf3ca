"""Solvers and spectral estimates: functions of vectors, with no idea what the vectors stand for."""
