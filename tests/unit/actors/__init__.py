"""Actors as plain classes."""
