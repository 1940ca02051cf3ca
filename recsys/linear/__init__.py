"""What only `whole_data` on a linear model has: an exact line search, few directions to move in, a width, a proof."""
