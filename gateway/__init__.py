"""The HTTP edge: API, socket, live delivery, the browser client."""
