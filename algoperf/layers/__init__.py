"""Layers that the models of several workloads share, one file per framework: their name says which."""
