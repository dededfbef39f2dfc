"""The gateway's tables: a class a noun, its SQL in a file of the same name."""
