"""A unified namespace: each point retained under its path at an MQTT broker."""
