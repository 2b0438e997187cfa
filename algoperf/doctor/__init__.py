"""What works on this machine, what does not and what mends it: `python -m algoperf.doctor`."""
