"""References that results are compared with: timm's models, compiled forward passes."""
