"""Every write to a device: authorised, range-checked, sent, read back, audited."""
