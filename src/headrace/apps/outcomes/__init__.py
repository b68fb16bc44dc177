"""Outcomes: productivity, energy intensity and failures against a frozen baseline, with intervals."""
