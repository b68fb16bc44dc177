"""The plant as declared: text to objects to a plan to the database, and back to text."""
