"""Delivery of live streams: HTTP-FLV and LL-HLS."""
