"""Who asks: passwords, tokens, sign-ins."""
