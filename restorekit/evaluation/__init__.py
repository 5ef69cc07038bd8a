"""How good a model is: test pairs in, a table of scores per image out, and what can be said of their means."""
