"""A bank's rail that is simulated, in a process of its own: it answers late, twice, in contradiction, or not at all."""
