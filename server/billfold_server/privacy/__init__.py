"""Privacy: what all rooms together keep of people, and what is done for one who asks."""
