"""GNN recommenders that can be unlearned from."""
