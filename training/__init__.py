"""Trains and measures the demo package: rendered forecourts in, `models/forecourt.mpta` out."""
