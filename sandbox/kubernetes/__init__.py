"""The Kubernetes half of the sandbox: real control plane, our own kubelet of processes."""
