"""Rewriting a fused model into operations that a phone's runtime runs fast; exact."""
