"""GNN recommenders that can be unlearned from.

Interactions and how they are read, split and drawn (`data`), a model with its data and objective (`problem`), trained
by `fit` (`models`, `objectives`, `train`), how well it ranks (`evaluate`), whom it recommends what (`recommend`), and
where it is kept (`workspace`); recommenders in closed form (`closed_form`), ensembles of shards (`sharding`), what only
`whole_data` on a linear model has (`linear`), methods that know what a recommender is (`methods`). How to forget is in
`unlearn`.
"""
