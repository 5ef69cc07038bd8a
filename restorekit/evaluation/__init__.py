"""Evaluation of models: test pairs in; a table of scores per image, their means and intervals out."""
