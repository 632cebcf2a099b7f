"""Scheduled checks that money is conserved: the third of three places where each invariant is held."""
