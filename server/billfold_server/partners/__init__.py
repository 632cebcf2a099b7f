"""Partner organisations: who embeds the platform, with members, API clients and webhook endpoints of their own."""
