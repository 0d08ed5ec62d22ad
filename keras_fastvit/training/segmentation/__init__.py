"""Training and evaluating Semantic FPN on ADE20K."""
