"""Webhooks: how others are told what happened: the stream of events, and the endpoints to which it is delivered."""
