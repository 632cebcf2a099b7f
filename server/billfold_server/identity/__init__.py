"""Identity: who may ask for what, at each tenant and at the platform."""
