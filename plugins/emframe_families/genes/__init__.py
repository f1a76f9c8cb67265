"""Alleles behind phenotypes."""
