"""Image towers as classifiers: the embeddings of texts, and the model that compares with them."""
