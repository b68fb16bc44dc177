"""Energy and carbon: meters and their balance, comprehensive energy by GB/T 2589, baselines, footprints."""
