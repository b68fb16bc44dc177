"""Makes `tests` ours: a dependency installs a package of the same name."""
