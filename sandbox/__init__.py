"""The stand-in: an embedded AWS and a real Kubernetes control plane on one Linux machine."""
