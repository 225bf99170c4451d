"""Stable Diffusion as an asynchronous service: the data plane of stable_diffusion.eks."""
