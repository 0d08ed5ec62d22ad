"""Heads for dense tasks, on the feature pyramid of a FastViT."""

from keras_fastvit.tasks.semantic_fpn import SemanticFPN

__all__ = ["SemanticFPN"]
