"""Approvals: what one person asks for is only done once another has agreed to it, where the manifest says so."""
