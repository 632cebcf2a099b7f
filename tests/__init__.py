"""Tests; they mirror the rooms of the server and the modules of the SDK."""
