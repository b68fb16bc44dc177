"""The shapes that travel: one module a subject. Requests refuse unknown fields; answers are made by `of(...)`."""
