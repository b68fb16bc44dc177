"""Events, and samples where asked for, as CloudEvents to a declared URL: signed, retried, never redirected."""
