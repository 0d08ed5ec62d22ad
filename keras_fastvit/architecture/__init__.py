"""The model: variants as data, layers, blocks, the graph, its folding."""
