"""Reference plants: real protocol servers over a physical model; fixtures and demo alike."""
