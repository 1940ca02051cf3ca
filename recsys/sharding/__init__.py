"""Recommenders in shards, which forget by training again only what held the forgotten."""

from recsys.sharding.aggregation import Aggregation, Attention, Mean
from recsys.sharding.ensemble import ShardedRecommender
from recsys.sharding.partitions import Clustered, Hashed, Partition

__all__ = ["Aggregation", "Attention", "Clustered", "Hashed", "Mean", "Partition", "ShardedRecommender"]
