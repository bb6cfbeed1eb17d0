"""Revisions of one site that are deployed one after the other; each module lists its routes."""
