"""What the authorization server says about itself."""
