"""Builds the container images and deploys a commit to a cluster."""
