"""How batches and events travel: the bounded in-process bus."""
