"""What the bytes of a publish mean: JSON by declared mapping, Sparkplug B, raw scalars. `contract.py` is the seam."""
