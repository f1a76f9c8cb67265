"""Chains of hidden states."""
