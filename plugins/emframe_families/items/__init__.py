"""Answers: yes and no, and one of several levels."""
