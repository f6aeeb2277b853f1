"""Comparing two versions of a product."""
