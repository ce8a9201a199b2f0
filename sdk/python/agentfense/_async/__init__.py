"""The async surface. Written by hand; _sync is generated from it."""
