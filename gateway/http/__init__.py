"""The HTTP API and the pages: a file a resource."""
