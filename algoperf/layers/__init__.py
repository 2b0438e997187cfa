"""Layers that several workloads share; the file name says for which framework."""
