"""From a commit to a cluster: the images, the rollout, and the way back."""
