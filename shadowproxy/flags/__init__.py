"""Feature flags: flagd definitions read, checked, compiled to closures and evaluated. Pure."""
