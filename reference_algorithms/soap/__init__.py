"""SOAP; see README.md in this folder."""
