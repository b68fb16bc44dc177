"""Contract suites: every driver, store and backend inherits them."""
