"""How others are told what happened: the stream of events, and later the endpoints to which it is delivered."""
