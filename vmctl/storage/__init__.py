"""Bytes on disk: layers of disks and images, imports over HTTP, seed media.

The engine says what to do; names of layers and records of them are its own.
"""
