"""A kubelet (and kube-proxy, cloud controller manager and Pod Identity webhook) of processes.

The embedded EC2's instances become Nodes of the real API server, and a pod bound to one becomes processes of this
machine: environment, arguments, volumes, probes, restarts, order of start and stop are the pod spec's; which program
stands for an image is told by `images`. Every pod, service and node has a loopback address of its own: the API says
10.a.b.c (it refuses loopback in EndpointSlices), the processes use 127.a.b.c, the API server reaches both through
`connect`.

What a process is not: it has the machine's file system (mount paths are moved to where they start a word of an
argument or of a variable, see `mounts`), no name server (in-cluster names are rewritten there too, see `names`), no
limits of its own, no other user, and `securityContext` and NetworkPolicy mean nothing. Its first process gets the
signals; the rest of its process group goes when that one ends.

Not served: exec, attach, port-forward, ephemeral containers, gRPC probes, `kubectl logs --since`, CSI drivers (a claim
is a directory), changing a running pod's image or resources, activeDeadlineSeconds, headless services' names.
"""
